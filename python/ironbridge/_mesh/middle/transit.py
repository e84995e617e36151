"""Packets as middlewares see them: the hooks `transit_publish` and `transit_message_handler`, over the bytes of each."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidPacketDataError
from .transit_codec import Codec

# What is told by the node itself, of itself: its connection, and the others' view of it, hang on these.
_PRESENCE = frozenset(["DISCOVER", "INFO", "HEARTBEAT", "DISCONNECT", "PING", "PONG"])
_BALANCED = {"REQB": "REQ", "EVENTB": "EVENT"}


@dataclass(slots=True)
class Packet:
    """A packet.

    Attributes:
        type: `REQ`, `RES`, `EVENT`, `INFO`, `DISCOVER`, `HEARTBEAT`, `DISCONNECT`, `PING` or `PONG`.
        target: the node it is for; `None`: for all, or for whom the transporter chooses; always of one that has come.
        payload: its fields; `ver` and `sender` are among those of one that has come, and added to one that is sent.
    """

    type: str
    target: str | None
    payload: dict[str, Any]


class Transit:
    """The chains of `transit_publish` and `transit_message_handler`.

    What a hook calls `next` with is what is sent, or handled here. It is withheld when `next` is not called before the
    hook returns. The engine calls hooks on any of its threads, several at once, and waits: they are plain functions.
    """

    def __init__(self, broker: Any, codec: Codec) -> None:
        self._codec, self._prefix = codec, broker.topic_prefix + "."
        self._logger = broker.get_logger("transit")
        self._passed = _Passed()
        self._publish = broker.middlewares.wrap("transit_publish", self._passed.send)
        self._handle = broker.middlewares.wrap("transit_message_handler", self._passed.handle)

    def outgoing(self, topic: str, data: bytes) -> bytes:
        """The bytes of a packet as the hooks leave it.

        Raises:
            InvalidPacketDataError: a call was withheld, so that it fails at once; or its type or target was changed.
            PayloadError: it holds what cannot cross.
        """
        kind, target = self._address(topic)
        payload = self._codec.read(data)
        if payload is None:
            return data
        head: dict[str, Any] = {name: payload.pop(name) for name in ("ver", "sender") if name in payload}
        try:
            passed = self._passed.of(self._publish, Packet(kind, target, payload))
            if passed is not None:
                _keeps(passed, kind, target)
                return self._codec.write({**passed.payload, **head})
        except Exception:
            if kind not in _PRESENCE:
                raise
            # An error here would end the connection.
            self._logger.exception("transit_publish has failed; %s is sent as it was", kind)
            return data
        if kind in _PRESENCE:
            self._logger.warning("transit_publish has withheld %s: a node cannot be without; it is sent", kind)
            return data
        if kind == "REQ":
            raise InvalidPacketDataError(f"transit_publish has withheld the call of {payload.get('action')}")
        return self._codec.nothing_to_others(kind)

    def incoming(self, topic: str, data: bytes) -> bytes:
        """The bytes of a packet that has come, as the hooks leave it.

        Raises:
            InvalidPacketDataError: its type was changed.
            PayloadError: it holds what cannot be read.
        """
        kind, _ = self._address(topic)
        payload = self._codec.read(data)
        if payload is None:
            # The engine says what is wrong with it.
            return data
        passed = self._passed.of(self._handle, kind, Packet(kind, None, payload))
        if passed is None:
            return self._codec.nothing_to_us(kind)
        _keeps(passed, kind, None)
        return self._codec.write(passed.payload)

    def _address(self, topic: str) -> tuple[str, str | None]:
        command, _, target = topic.removeprefix(self._prefix).partition(".")
        if command in _BALANCED:
            return _BALANCED[command], None
        return command, target or None


class _Passed(threading.local):
    """What the hooks have called `next` with, on each thread."""

    packet: Packet | None = None
    times = 0

    def send(self, packet: Packet) -> None:
        """The innermost `next(packet)`."""
        self.packet, self.times = packet, self.times + 1

    def handle(self, cmd: str, packet: Packet) -> None:
        """The innermost `next(cmd, packet)`."""
        packet.type = cmd
        self.send(packet)

    def of(self, chain: Callable[..., Any], *arguments: Any) -> Packet | None:
        """What comes through a chain; `None` when nothing does."""
        # A hook may send something itself.
        outer, self.packet, self.times = (self.packet, self.times), None, 0
        try:
            told = chain(*arguments)
            if inspect.isawaitable(told):
                if inspect.iscoroutine(told):
                    told.close()
                raise InvalidPacketDataError("a hook of packets is a plain function: nothing waits for what it gives")
            if self.times > 1:
                raise InvalidPacketDataError("a hook has called next more than once for a packet")
            return self.packet
        finally:
            self.packet, self.times = outer


def _keeps(packet: Packet, kind: str, target: str | None) -> None:
    if (packet.type, packet.target) != (kind, target):
        raise InvalidPacketDataError(
            f"a hook has made {packet.type} to {packet.target} of {kind} to {target}: it may change the payload alone"
        )
