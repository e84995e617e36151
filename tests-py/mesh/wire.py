"""All packets between nodes, recorded at a raw connection to Redis or NATS; and packets of any kind sent there."""

from __future__ import annotations

import json
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import IO, Any, Self

from harness.net import Address, dial
from harness.told import PATIENCE


@dataclass(frozen=True)
class Packet:
    """What was published: `MOL[-namespace].COMMAND[.target]`, its bytes, and, over NATS, its headers if it has some."""

    topic: str
    body: bytes
    headers: str = ""

    @property
    def prefix(self) -> str:
        return self.topic.split(".", 2)[0]

    @property
    def command(self) -> str:
        """Of what is no packet, the last word of two at most."""
        return self.topic.split(".", 2)[:2][-1]

    @property
    def target(self) -> str | None:
        """The node, or, of a balanced packet, the action or the group and event."""
        return self.topic.split(".", 2)[2] if self.topic.count(".") > 1 else None

    @cached_property
    def fields(self) -> dict[str, Any]:
        """Its JSON."""
        read: dict[str, Any] = json.loads(self.body)
        return read


class Tap(ABC):
    """A context manager that records from when it is entered; with a prefix, only topics that begin so."""

    def __init__(self, address: Address, prefix: str = "MOL") -> None:
        self.address, self.prefix = address, prefix
        self._packets: list[Packet] = []
        self._news = threading.Condition()
        self._over = False

    @property
    def packets(self) -> list[Packet]:
        """All so far, in the order in which the server sent them."""
        with self._news:
            return list(self._packets)

    def find(self, command: str, /, target: str | None = None, **fields: Any) -> list[Packet]:
        """Those of a command, to a target and with fields if they are named."""
        return [
            packet
            for packet in self.packets
            if packet.command == command
            and target in (None, packet.target)
            and all(name in packet.fields and packet.fields[name] == value for name, value in fields.items())
        ]

    def wait(
        self, command: str, /, target: str | None = None, *, count: int = 1, deadline: float = PATIENCE, **fields: Any
    ) -> Packet:
        """The `count`th such packet; waits for it."""
        with self._news:
            self._news.wait_for(lambda: self._over or len(self.find(command, target, **fields)) >= count, deadline)
        found = self.find(command, target, **fields)
        topics = "\n".join(packet.topic for packet in self.packets)
        assert len(found) >= count, f"no {command} to {target} with {fields} (number {count}) among\n{topics}"
        return found[count - 1]

    def publish(self, topic: str, body: bytes | Mapping[str, Any]) -> None:
        """Sends a packet, which is recorded, too."""
        self._publish(topic, body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode())

    def clear(self) -> None:
        """Forgets what was recorded."""
        with self._news:
            self._packets.clear()

    @abstractmethod
    def _publish(self, topic: str, body: bytes) -> None:
        """Sends a packet."""

    @abstractmethod
    def _subscribe(self) -> None:
        """Returns when every later packet is heard."""

    @abstractmethod
    def _read(self) -> Packet | None:
        """The next packet; None for other words of the server. Raises ConnectionError at the end."""

    def _record(self) -> None:
        try:
            while True:
                if (packet := self._read()) and (packet.prefix == self.prefix or not self.prefix):
                    with self._news:
                        self._packets.append(packet)
                        self._news.notify_all()
        except (OSError, ValueError):
            with self._news:
                self._over = True
                self._news.notify_all()

    def __enter__(self) -> Self:
        self._sockets = [dial(self.address, PATIENCE)]
        self._files: list[IO[bytes]] = [self._sockets[0].makefile("rb")]
        self._subscribe()
        self._sockets[0].settimeout(None)
        self._thread = threading.Thread(target=self._record, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in self._sockets:
            try:
                stream.shutdown(2)
            except OSError:
                pass
        self._thread.join(PATIENCE)
        for file in self._files:
            file.close()
        for stream in self._sockets:
            stream.close()


def _line(file: IO[bytes]) -> bytes:
    line = file.readline()
    if not line.endswith(b"\n"):
        raise ConnectionError("the server has closed the connection")
    return line.rstrip(b"\r\n")


class RedisTap(Tap):
    """Hears every channel; publishes on a connection of its own."""

    def _subscribe(self) -> None:
        self._sockets.append(dial(self.address, PATIENCE))
        self._files.append(self._sockets[1].makefile("rb"))
        self._sockets[0].sendall(b"*2\r\n$10\r\nPSUBSCRIBE\r\n$1\r\n*\r\n")
        assert self._reply(self._files[0])[0] == b"psubscribe"

    def _read(self) -> Packet | None:
        match self._reply(self._files[0]):
            case [b"pmessage", _, topic, body]:
                return Packet(topic.decode(), body)
        return None

    def _publish(self, topic: str, body: bytes) -> None:
        words = [b"PUBLISH", topic.encode(), body]
        head = b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
        self._sockets[1].sendall(b"*3\r\n" + head)
        self._reply(self._files[1])

    def _reply(self, file: IO[bytes]) -> Any:
        line = _line(file)
        kind, size = line[:1], line[1:]
        if kind == b"*":
            return [self._reply(file) for _ in range(int(size))]
        if kind == b"$":
            return file.read(int(size) + 2)[:-2]
        return size


class NatsTap(Tap):
    """Hears every subject, beside the queues."""

    def _subscribe(self) -> None:
        _line(self._files[0])
        self._sockets[0].sendall(b'CONNECT {"verbose":false,"headers":true}\r\nSUB > 1\r\nPING\r\n')
        assert _line(self._files[0]) == b"PONG"

    def _read(self) -> Packet | None:
        word, *rest = _line(self._files[0]).split(b" ")
        if word in (b"MSG", b"HMSG"):
            body = self._files[0].read(int(rest[-1]) + 2)[:-2]
            head = int(rest[-2]) if word == b"HMSG" else 0
            return Packet(rest[0].decode(), body[head:], body[:head].decode())
        if word == b"PING":
            self._sockets[0].sendall(b"PONG\r\n")
        return None

    def _publish(self, topic: str, body: bytes) -> None:
        self._sockets[0].sendall(b"PUB %b %d\r\n%b\r\n" % (topic.encode(), len(body), body))


class RedisMonitor(RedisTap):
    """Hears every command that clients send, but for those that carry packets: its name as topic, its words as JSON."""

    _WORDS = re.compile(rb'"((?:[^"\\]|\\.)*)"')
    _OTHERS = frozenset(
        ["AUTH", "CLIENT", "HELLO", "INFO", "PING", "PSUBSCRIBE", "PUBLISH", "SELECT", "SUBSCRIBE", "UNSUBSCRIBE"]
    )

    def __init__(self, address: Address) -> None:
        super().__init__(address, prefix="")

    def _subscribe(self) -> None:
        self._sockets[0].sendall(b"*1\r\n$7\r\nMONITOR\r\n")
        assert self._reply(self._files[0]) == b"OK"

    def _read(self) -> Packet | None:
        words = [_unescaped(word) for word in self._WORDS.findall(self._reply(self._files[0]))]
        name = words[0].upper()
        return None if name in self._OTHERS else Packet(name, json.dumps(words[1:]).encode())


def _unescaped(word: bytes) -> str:
    plain = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}
    exchange = re.sub(
        rb"\\(x[0-9a-f]{2}|.)",
        lambda match: bytes.fromhex(match[1][1:].decode()) if len(match[1]) > 1 else plain.get(match[1], match[1]),
        word,
    )
    return exchange.decode(errors="backslashreplace")
