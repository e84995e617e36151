"""Puts messages into a queue as fast as a broker takes them: one blocking connection, frames made once.

No contender has a part in it: what is measured afterwards is how fast they take the messages out.
"""

import socket
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from pamqp import commands, frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

BODY = b"x" * 1024
CHANNEL = 1


class Filler:
    """Connects with the constructor."""

    def __init__(self, uri: str) -> None:
        place = urlsplit(uri)
        self.stream = socket.create_connection((place.hostname, place.port), 30)
        self.unread = b""
        self.stream.sendall(b"AMQP\0\0\x09\x01")
        self.wait("Connection.Start")
        who = f"\0{unquote(place.username or '')}\0{unquote(place.password or '')}"
        self.say(commands.Connection.StartOk({}, "PLAIN", who, "en_US"), 0)
        tune = self.wait("Connection.Tune")
        self.say(commands.Connection.TuneOk(tune.channel_max, tune.frame_max, 0), 0)
        self.ask(commands.Connection.Open(unquote(place.path[1:]) or "/"), "Connection.OpenOk", 0)
        self.ask(commands.Channel.Open(), "Channel.OpenOk")

    def bind(self, exchange: str, queue: str, headers: Mapping[str, str], **arguments: Any) -> None:
        """A durable queue that gets from the exchange (durable, of type headers) what carries these headers."""
        declared = commands.Exchange.Declare(exchange=exchange, exchange_type="headers", durable=True)
        self.ask(declared, "Exchange.DeclareOk")
        self.ask(commands.Queue.Declare(queue=queue, durable=True, arguments=arguments), "Queue.DeclareOk")
        wanted: dict[str, Any] = {"x-match": "all", **headers}
        self.ask(commands.Queue.Bind(queue=queue, exchange=exchange, arguments=wanted), "Queue.BindOk")

    def fill(self, exchange: str, queue: str, headers: Mapping[str, str], count: int) -> None:
        """Publishes until the queue, which these headers lead to, has `count` messages of 1 KiB."""
        properties = commands.Basic.Properties(headers=dict(headers), delivery_mode=1)
        method, header = commands.Basic.Publish(exchange=exchange), ContentHeader(0, len(BODY), properties)
        message = b"".join(frame.marshal(part, CHANNEL) for part in (method, header, ContentBody(BODY)))
        while (missing := count - self.length(queue)) > 0:
            self.stream.sendall(message * missing)

    def hold(self, queue: str) -> None:
        """Keeps a queue that goes with its last consumer: this one takes a single message, and never more."""
        self.ask(commands.Basic.Qos(prefetch_count=1), "Basic.QosOk")
        self.ask(commands.Basic.Consume(queue=queue), "Basic.ConsumeOk")

    def length(self, queue: str) -> int:
        """How many messages wait in it."""
        there = self.ask(commands.Queue.Declare(queue=queue, passive=True), "Queue.DeclareOk")
        return int(there.message_count)

    def close(self) -> None:
        """Ends the connection in the protocol's way."""
        self.ask(commands.Connection.Close(200, "done", 0, 0), "Connection.CloseOk", 0)
        self.stream.close()

    def ask(self, request: Any, answer: str, channel: int = CHANNEL) -> Any:
        """A request, and its answer."""
        self.say(request, channel)
        return self.wait(answer)

    def say(self, request: Any, channel: int = CHANNEL) -> None:
        """Sends one method."""
        self.stream.sendall(frame.marshal(request, channel))

    def wait(self, name: str) -> Any:
        """The method of that name; the one message that is held may come before it."""
        while True:
            while len(self.unread) < 7 or len(self.unread) < int.from_bytes(self.unread[3:7]) + 8:
                more = self.stream.recv(65536)
                if not more:
                    raise ConnectionError(f"the broker closed the connection instead of {name}")
                self.unread += more
            used, _, arrived = cast("tuple[int, int, Any]", frame.unmarshal(self.unread))
            self.unread = self.unread[used:]
            if arrived.name == name:
                return arrived
            if text := getattr(arrived, "reply_text", ""):
                raise RuntimeError(f"{arrived.name} instead of {name}: {text}")
