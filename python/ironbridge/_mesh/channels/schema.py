"""What a service says of the channels that it listens to, in the words of `@moleculer/channels` and ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import BrokerOptionsError, ServiceSchemaError
from ..schema import snake

DEAD_LETTERS = "FAILED_MESSAGES"


@dataclass(slots=True)
class ChannelSchema:
    """One channel of one service.

    Attributes:
        name: as the schema has it.
        handler: what it runs.
        takes_context: whether the handler takes a `Context`, not the payload alone.
        group: of a group, one service gets each message; the service's full name unless given.
        max_in_flight: messages that are handled at once (1).
        max_retries: how often a message is handled at most when it fails (3); 0: once.
        dead_letters: where those go that failed as often; `None`: they are dropped, and that is logged.
        retry_delay: milliseconds from a failure to the next try (1000).
        redis: `min_idle_time` (ms, 3,600,000: a message that nobody has worked on for so long is taken over),
            `claim_interval` (ms, 1000), `start_id` (`"$"`: from now on).
        nats: `ack_wait` (ms, 30,000: as `min_idle_time`), `stream` (its configuration, for JetStream).
        tracing: whether messages are traced, or how.
        service: the service that listens.
    """

    name: str
    handler: Any = None
    takes_context: bool = False
    group: str = ""
    max_in_flight: int = 1
    max_retries: int = 3
    dead_letters: str | None = None
    retry_delay: float = 1000
    redis: Mapping[str, Any] = field(default_factory=dict)
    nats: Mapping[str, Any] = field(default_factory=dict)
    tracing: Any = None
    service: Any = None

    @property
    def place(self) -> str:
        """For messages to people."""
        return f"the channel {self.name!r} of {self.service.full_name}"


@dataclass(frozen=True, slots=True)
class ChannelDefaults:
    """What channels have that do not say.

    Args:
        adapter: `"redis://…"`, `"nats://…"` or `"memory"`; the broker's transporter unless given.
        prefix: before all names; the namespace unless given.
        context: whether handlers take contexts (False).
        send_timeout: milliseconds for the server to have what is sent (5000).
        max_in_flight, max_retries, dead_lettering, retry_delay, redis, nats: as a channel's own.
    """

    adapter: str | None = None
    prefix: str | None = None
    context: bool = False
    send_timeout: float = 5000
    max_in_flight: int = 1
    max_retries: int = 3
    dead_lettering: Any = None
    retry_delay: float = 1000
    redis: Mapping[str, Any] = field(default_factory=dict)
    nats: Mapping[str, Any] = field(default_factory=dict)


def defaults_of(option: Any) -> ChannelDefaults:
    """The broker's option `channels`: a URL, or a dict.

    Raises:
        BrokerOptionsError: it is neither, or has an unknown key.
    """
    if option is None:
        return ChannelDefaults()
    if isinstance(option, str):
        return ChannelDefaults(adapter=option)
    if not isinstance(option, Mapping):
        raise BrokerOptionsError(f"channels={option!r}: give a URL, or a dict")
    told = {snake(str(name)): value for name, value in option.items()}
    if unknown := set(told) - set(ChannelDefaults.__slots__):
        known = ", ".join(ChannelDefaults.__slots__)
        raise BrokerOptionsError(f"channels: there is no option {', '.join(sorted(unknown))}; there are {known}")
    return ChannelDefaults(**told)


def channel_of(name: str, given: Any, service: Any, defaults: ChannelDefaults) -> ChannelSchema:
    """A channel from its schema.

    Raises:
        ServiceSchemaError: it is not written as channels are.
    """
    from ..service import bound, takes_context

    told = {"handler": given} if callable(given) else given
    if not isinstance(told, Mapping) or not callable(told.get("handler")):
        raise ServiceSchemaError(f"{service.full_name}: the channel {name!r} has no handler")
    own = {snake(str(key)): value for key, value in told.items()}
    handler, context = own.pop("handler"), own.pop("context", defaults.context)
    letters = own.pop("dead_lettering", defaults.dead_lettering)
    known = set(ChannelSchema.__slots__) - {"handler", "takes_context", "dead_letters", "service"}
    if unknown := set(own) - known:
        told_known = ", ".join(sorted({*known, "handler", "context", "dead_lettering"}))
        raise ServiceSchemaError(
            f"{service.full_name}: the channel {name!r} has no {', '.join(sorted(unknown))}; it has {told_known}"
        )
    channel = ChannelSchema(
        **{
            "name": name,
            "group": service.full_name,
            "max_in_flight": defaults.max_in_flight,
            "max_retries": defaults.max_retries,
            "retry_delay": defaults.retry_delay,
            **own,
            "redis": {**_snaked(defaults.redis), **_snaked(own.get("redis"))},
            "nats": {**_snaked(defaults.nats), **_snaked(own.get("nats"))},
        },
        handler=bound(service, handler),
        takes_context=bool(context) or takes_context(handler),
        dead_letters=_dead_letters(letters),
        service=service,
    )
    for count, least in ((channel.max_in_flight, 1), (channel.max_retries, 0), (channel.retry_delay, 0)):
        if not isinstance(count, int | float) or count < least:
            raise ServiceSchemaError(f"{channel.place}: max_in_flight, max_retries, retry_delay: {count!r} is too few")
    return channel


def _dead_letters(given: Any) -> str | None:
    told = given if isinstance(given, Mapping) else {"enabled": bool(given)}
    if not told.get("enabled"):
        return None
    name = told.get("queueName") or told.get("queue_name") or (given if isinstance(given, str) else None)
    return str(name or DEAD_LETTERS)


def _snaked(given: Mapping[str, Any] | None) -> dict[str, Any]:
    return {snake(str(name)): value for name, value in (given or {}).items()}
