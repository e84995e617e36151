"""A gateway: whoever speaks HTTP can call the actions of the hub's services, broadcast, and follow broadcasts.

python http_gateway.py [port sender receiver]

    curl localhost:8080/services
    curl localhost:8080/call/mean -d '"Thermometer"'
    curl localhost:8080/broadcast -d '{"door": "open"}'
    curl -N localhost:8080/events
"""

from __future__ import annotations

import asyncio
import json
import sys
from http import HTTPStatus
from typing import Any

from ironbridge.hub import (
    DeadlineExceeded,
    IronbridgeError,
    MicroService,
    Overloaded,
    PayloadError,
    RemoteExecutionError,
    ServiceNotFound,
    ServiceUnavailable,
)

LARGEST_BODY = 1 << 20
PATIENCE = 10.0
"""Seconds for a client to send its request, and for a service to answer it."""
FOLLOWED = 100
"""Broadcasts that a slow follower may be behind; it misses older ones."""

STATUS: list[tuple[type[Exception], HTTPStatus]] = [
    (ServiceNotFound, HTTPStatus.NOT_FOUND),
    (DeadlineExceeded, HTTPStatus.GATEWAY_TIMEOUT),
    (RemoteExecutionError, HTTPStatus.BAD_GATEWAY),
    (Overloaded, HTTPStatus.SERVICE_UNAVAILABLE),
    (ServiceUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (PayloadError, HTTPStatus.BAD_REQUEST),
    (IronbridgeError, HTTPStatus.INTERNAL_SERVER_ERROR),
]


class Refused(Exception):
    """A request that is not answered with what it asked for."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class Gateway(MicroService):
    def __init__(self, sender: str, receiver: str) -> None:
        super().__init__(self, sender_endpoint=sender, receiver_endpoint=receiver)
        self.followers: set[asyncio.Queue[dict[str, Any]]] = set()

    async def on_broadcast(self, service: str, data: Any) -> None:
        for follower in self.followers:
            if follower.full():
                follower.get_nowait()
            follower.put_nowait({"service": service, "data": data})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request on one connection."""
        try:
            async with asyncio.timeout(PATIENCE):
                method, path, body = await request(reader)
            if (method, path) == ("GET", "/events"):
                await self.follow(writer)
                return
            status, answer = await self.answer(method, path, body)
        except Refused as refused:
            status, answer = refused.status, {"error": str(refused)}
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            writer.close()
            return
        text = json.dumps(answer).encode()
        writer.write(head(status, "application/json", f"Content-Length: {len(text)}") + text)
        writer.close()

    async def answer(self, method: str, path: str, body: bytes) -> tuple[HTTPStatus, Any]:
        """What a request comes to."""
        _, kind, *rest = path.split("/", 2)
        try:
            if (method, path) == ("GET", "/services"):
                return HTTPStatus.OK, {one["name"]: sorted(one["actions"]) for one in self.services()}
            if method == "POST" and kind == "call" and rest:
                return HTTPStatus.OK, await self.call(rest[0], parsed(body), timeout=PATIENCE)
            if (method, path) == ("POST", "/broadcast"):
                await self.send_broadcast(parsed(body))
                return HTTPStatus.ACCEPTED, None
        except IronbridgeError as error:
            status = next(status for kind, status in STATUS if isinstance(error, kind))
            return status, {"error": type(error).__name__, "message": str(error)}
        raise Refused(HTTPStatus.NOT_FOUND)

    async def follow(self, writer: asyncio.StreamWriter) -> None:
        """Server-sent events: every broadcast from now on, until the client goes."""
        follower: asyncio.Queue[dict[str, Any]] = asyncio.Queue(FOLLOWED)
        self.followers.add(follower)
        try:
            writer.write(head(HTTPStatus.OK, "text/event-stream"))
            while not writer.is_closing():
                await writer.drain()
                writer.write(b"data: " + json.dumps(await follower.get()).encode() + b"\n\n")
        except OSError:
            pass
        finally:
            self.followers.discard(follower)
            writer.close()


async def request(reader: asyncio.StreamReader) -> tuple[str, str, bytes]:
    """Method, path and body."""
    try:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
        method, path, _ = first.split(" ", 2)
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(fields.get("content-length", "0"))
    except (ValueError, asyncio.LimitOverrunError):
        raise Refused(HTTPStatus.BAD_REQUEST) from None
    if not 0 <= length <= LARGEST_BODY:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return method, path.partition("?")[0], await reader.readexactly(length)


def parsed(body: bytes) -> Any:
    """The JSON that a client sent; nothing is null."""
    try:
        return json.loads(body or b"null")
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST) from None


def head(status: HTTPStatus, kind: str, *fields: str) -> bytes:
    """A response up to its body."""
    lines = [f"HTTP/1.1 {status} {status.phrase}", f"Content-Type: {kind}", *fields, "Connection: close", "", ""]
    return "\r\n".join(lines).encode()


async def main(port: str = "8080", sender: str = "ipc:///tmp/sender", receiver: str = "ipc:///tmp/receiver") -> None:
    gateway = Gateway(sender, receiver)
    async with await asyncio.start_server(gateway.serve, "127.0.0.1", int(port)) as server:
        print(f"listening on {server.sockets[0].getsockname()[1]}", flush=True)
        await gateway.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
