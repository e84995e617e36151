"""pyzmq sockets at a hub: what is on the wire, to see and to forge."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Self

import zmq

from hub.actors import PATIENCE, Endpoints


def frame(head: str, **body: Any) -> bytes:
    """One message as originals write it."""
    return f"{head}:{json.dumps(body)}".encode()


class Raw:
    """A PUSH to the hub's receiver, a SUB at its sender."""

    def __init__(self, at: Endpoints, prefix: bytes = b"") -> None:
        self.at, self.prefix = at, prefix
        self.context = zmq.Context()
        self.push = self.context.socket(zmq.PUSH)
        self.sub = self.context.socket(zmq.SUB)
        self.seen: list[bytes] = []
        self._connected = False

    def connect(self) -> None:
        """Returns when what is pushed comes back."""
        self._connected = True
        for socket in (self.push, self.sub):
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.RCVTIMEO, 50)
            socket.setsockopt(zmq.SNDTIMEO, int(PATIENCE * 1000))
            socket.setsockopt(zmq.SNDHWM, 0)
            socket.setsockopt(zmq.RCVHWM, 0)
        self.sub.setsockopt(zmq.SUBSCRIBE, self.prefix)
        self.sub.setsockopt(zmq.SUBSCRIBE, b"raw-probe:")
        self.sub.connect(self.at.sender)
        self.push.connect(self.at.receiver)
        probe = frame("raw-probe", s="raw", d=id(self))
        end = time.monotonic() + PATIENCE
        while probe not in self.seen:
            assert time.monotonic() < end, "what was pushed does not come back"
            self.push.send(probe)
            self.receive()

    def send(self, *frames: bytes) -> None:
        """One message of these frames."""
        if not self._connected:
            self.connect()
        self.push.send_multipart(list(frames))

    def receive(self) -> None:
        """Takes what has arrived; waits a moment when nothing has."""
        try:
            self.seen.append(self.sub.recv())
            while True:
                self.seen.append(self.sub.recv(zmq.NOBLOCK))
        except zmq.Again:
            return

    def wait(self, wanted: Callable[[bytes], bool], deadline: float = PATIENCE, what: str = "") -> bytes:
        """The first message, of all that were seen, that is wanted; waits for it."""
        if not self._connected:
            self.connect()
        end = time.monotonic() + deadline
        looked = 0
        while True:
            for message in self.seen[looked:]:
                looked += 1
                if wanted(message):
                    return message
            assert time.monotonic() < end, f"no message {what or wanted} in {deadline} s; seen: {self.seen[-20:]}"
            self.receive()

    def wait_head(self, head: str, **fields: Any) -> dict[str, Any]:
        """The body of the first message with that head and those fields."""

        def wanted(message: bytes) -> bool:
            if not message.startswith(head.encode() + b":"):
                return False
            body = json.loads(message[len(head) + 1 :])
            return all(body.get(name) == value for name, value in fields.items())

        message = self.wait(wanted, what=f"{head} {fields}")
        body: dict[str, Any] = json.loads(message[len(head) + 1 :])
        return body

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.context.destroy(linger=0)
