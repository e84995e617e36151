"""Straight to the connection: one frame, made once, for any number of clients.

Sent through ASGI, each delivery goes through every layer of the application, and the server makes a frame of its own for
it: three times the work of writing the same bytes to the socket. A frame that is not compressed is allowed to clients
that have agreed to compression, too (RFC 7692, 6), and leaves the server's compressor as it is.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

_KEY = "ironbridge.connection"
_Asgi = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]


class ConnectionsKnown:
    """ASGI middleware: websockets know the connection that they are of, where the server is uvicorn and no middleware
    that stands further out changes what is sent."""

    def __init__(self, app: _Asgi) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            server = getattr(send, "__self__", None)
            if server is not None and _is_known(type(server)):  # type: ignore[arg-type] # classes are hashable
                scope[_KEY] = server
        await self._app(scope, receive, send)


class Connection:
    """A websocket's connection to uvicorn.

    Args:
        server: uvicorn's protocol of it.
    """

    __slots__ = ("_open", "_server")

    def __init__(self, server: Any) -> None:
        from websockets.protocol import State

        self._server, self._open = server, State.OPEN

    def write(self, frame: bytes) -> bool:
        """Sends a frame; `False` where it must go the ordinary way: the client is slow, or on its way out."""
        server = self._server
        if not server.writable.is_set() or server.conn.state is not self._open or server.transport.is_closing():
            return False
        server.transport.write(frame)
        return True


def connection_of(websocket: WebSocket) -> Connection | None:
    """A websocket's connection, where it is known."""
    server = getattr(websocket, "scope", {}).get(_KEY)
    return Connection(server) if server is not None else None


def frame_of(data: bytes) -> bytes:
    """The frame of a binary message, as servers send it (RFC 6455, 5.2)."""
    size = len(data)
    if size < 126:
        head = bytes((0x82, size))
    elif size < 1 << 16:
        head = b"\x82\x7e" + size.to_bytes(2, "big")
    else:
        head = b"\x82\x7f" + size.to_bytes(8, "big")
    return head + data


@functools.cache
def _is_known(kind: type[Any]) -> bool:
    """Whether a server's websockets are of the kind that is understood here."""
    if not kind.__module__.startswith("uvicorn."):
        return False
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    return issubclass(kind, WebSocketsSansIOProtocol)
