"""The bytes of packets, as middlewares change them: what the engine calls for each that goes out or comes in."""

from __future__ import annotations

from typing import Any


class Transforming:
    """The chains of `transporter_send` and `transporter_receive`. What was done last to a packet that goes out is
    undone first to one that comes in, so that the same middlewares in the same order stand at both ends.

    The engine calls it on any of its threads.

    Attributes:
        outgoing: called with the topic and the packet; gives the bytes to send.
        incoming: called with the topic and the bytes that came; gives the packet.
    """

    def __init__(self, middlewares: Any) -> None:
        self.outgoing = middlewares.wrap("transporter_send", _as_it_is)
        self.incoming = middlewares.wrap("transporter_receive", _as_it_is, reverse=True)


def transforming(broker: Any) -> Transforming | None:
    """What changes a broker's packets; `None` when nothing does."""
    if not (broker.middlewares.has("transporter_send") or broker.middlewares.has("transporter_receive")):
        return None
    return Transforming(broker.middlewares)


def _as_it_is(_topic: str, data: bytes) -> bytes:
    return data
