"""What a service may be told beside its endpoints: each option with its unit, range and default."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, TypedDict

from ..errors import ConfigurationError


class Options(TypedDict, total=False):
    """Options of a `MicroService`. Times are in seconds, sizes in bytes; the default is in brackets.

    All but the first two can be set by `IRONBRIDGE_HUB_…` in the environment, such as `IRONBRIDGE_HUB_BEAT`.
    """

    grace: float
    """Time that running handlers, tasks and unsent messages have at the end (10)."""
    restart: tuple[float, float]
    """Pause before a failed task starts again, and what it grows to, doubling each time (0.5, 30)."""
    beat: float
    """Time between two signs of life (2); others take a service for lost that misses three."""
    call_timeout: float
    """How long `call` waits for an answer when it is not told (30)."""
    send_timeout: float
    """How long a send waits while too much waits to be sent (30)."""
    max_message: int
    """The largest message sent or heard (64 MiB)."""
    outbox_bytes: int
    """How much may wait to be sent before senders wait, too (8 MiB)."""
    outbox_messages: int
    """How many messages may wait to be sent before senders wait, too (100,000)."""
    max_running: int
    """Actions and hooks that run at once; while there are as many, nothing more is read (1,000)."""
    max_services: int
    """Services remembered (10,000)."""


class HubOptions(TypedDict, total=False):
    """Options of a `Server`; also `IRONBRIDGE_HUB_…` in the environment. Times are in seconds, sizes in bytes."""

    max_message: int
    """The largest message that comes over a Unix socket (64 MiB)."""
    max_message_tcp: int
    """The largest message that comes over TCP (16 MiB)."""
    subscriber_buffer: int
    """How much waits for one subscriber; what comes on top is dropped for it, and counted (8 MiB)."""
    subscriber_messages: int
    """How many messages wait for one subscriber (100,000)."""
    stall_timeout: float
    """A subscriber that takes nothing of what waits for it is dropped after this (30)."""
    handshake_timeout: float
    """Time for a peer to shake hands (5)."""
    max_connections: int
    """Connections, of both kinds together (10,000)."""
    max_subscriptions: int
    """Subscriptions of one connection (4,096)."""
    max_registrations: int
    """Services that one connection may register (64)."""
    grace: float
    """Time for what waits to leave when the hub stops (2)."""


def native(options: HubOptions) -> dict[str, float]:
    """The hub's options as the engine takes them, which checks them.

    Raises:
        ConfigurationError: one is no number, or there is none of that name.
    """
    checked: dict[str, float] = {}
    for name, value in options.items():
        if name not in HubOptions.__annotations__:
            raise ConfigurationError(_unknown("Server", name, HubOptions.__annotations__))
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise ConfigurationError(f"{name} is a number, not {value!r}")
        checked[name] = value
    return checked


GRACE = 10.0
RESTART = (0.5, 30.0)

_TIMES = ("beat", "call_timeout", "send_timeout")
_SIZES = ("max_message", "outbox_bytes", "outbox_messages", "max_running", "max_services")
_OWN = ("grace", "restart")


class Settings:
    """Options that were checked: those of the face, and those of the engine."""

    __slots__ = ("grace", "native", "restart")

    def __init__(self, options: Mapping[str, Any]) -> None:
        for name in options:
            if name not in (*_OWN, *_TIMES, *_SIZES):
                raise ConfigurationError(_unknown("MicroService", name, (*_OWN, *_TIMES, *_SIZES)))
        self.grace = seconds("grace", options.get("grace", GRACE))
        self.restart = _pauses(options.get("restart", RESTART))
        self.native: dict[str, float] = {}
        for name in _TIMES:
            if name in options:
                self.native[name] = seconds(name, options[name])
        for name in _SIZES:
            if name in options:
                self.native[name] = _size(name, options[name])


def seconds(name: str, value: object) -> float:
    """The time, if it is one.

    Raises:
        ConfigurationError: it is not a number of zero or more.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value) and 0 <= value <= 1e9:
        return float(value)
    raise ConfigurationError(f"{name} is a number of seconds, 0 or more, not {value!r}")


def _pauses(value: object) -> tuple[float, float]:
    if isinstance(value, (tuple, list)) and len(value) == 2:
        first, longest = seconds("restart", value[0]), seconds("restart", value[1])
        if first <= longest:
            return first, longest
    raise ConfigurationError(f"restart is two numbers of seconds, the first and the longest pause, not {value!r}")


def _size(name: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 40:
        return value
    raise ConfigurationError(f"{name} is a whole number of 1 or more, not {value!r}")


def _unknown(owner: str, name: str, known: Iterable[str]) -> str:
    if name in ("curve_secretkey_file", "server_publickey_file", "authorized_clients_dir"):
        return f"{name}: CURVE keys are not spoken here; a hub and its services can share a secret: secret=..."
    if name in ("enable_heartbeat", "heartbeat_interval", "heartbeat_timeout"):
        return f"{name}: signs of life are always sent here, each `beat` seconds; who misses three is lost"
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    return f"{owner} has no option {name!r}; {hint}"
