"""The bytes of packets, as middlewares change them: what the engine calls for each that goes out or comes in."""

from __future__ import annotations

from typing import Any

from .transit import Transit
from .transit_codec import Codec


class Transforming:
    """The chains of `transporter_send` and `transporter_receive`, and around them those of whole packets. What was done
    last to a packet that goes out is undone first to one that comes in, so that the same middlewares in the same order
    stand at both ends.

    The engine calls it on any of its threads.

    Attributes:
        outgoing: called with the topic and the packet; gives the bytes to send.
        incoming: called with the topic and the bytes that came; gives the packet.
    """

    def __init__(self, broker: Any) -> None:
        middlewares = broker.middlewares
        self.outgoing = send = middlewares.wrap("transporter_send", _as_it_is)
        self.incoming = receive = middlewares.wrap("transporter_receive", _as_it_is, reverse=True)
        options = broker.options
        transit = Transit(broker, Codec(options.serializer, str(options.protocol), broker.node_id))
        # Packets are read and written again for those alone who want to see them.
        if middlewares.has("transit_publish"):
            self.outgoing = lambda topic, data: send(topic, transit.outgoing(topic, data))
        if middlewares.has("transit_message_handler"):
            self.incoming = lambda topic, data: transit.incoming(topic, receive(topic, data))


_HOOKS = ("transporter_send", "transporter_receive", "transit_publish", "transit_message_handler")


def transforming(broker: Any) -> Transforming | None:
    """What changes a broker's packets; `None` when nothing does."""
    return Transforming(broker) if any(broker.middlewares.has(hook) for hook in _HOOKS) else None


def _as_it_is(_topic: str, data: bytes) -> bytes:
    return data
