"""What spans tell of answers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .spans import add_event

_App = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]


class HttpResponseEventMiddleware:
    """ASGI middleware: the span that runs around it, an instrumentation's for example, has an event `http.response` for
    each answer: its status, its bytes, and the seconds that it took. Bodies and headers are not told.

    Args:
        app: what it stands around.
    """

    def __init__(self, app: _App) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status, size = time.perf_counter(), 0, 0

        async def counting(message: MutableMapping[str, Any]) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, counting)
        finally:
            add_event(
                "http.response",
                {
                    "http.response.status_code": status or 500,
                    "http.response.body.size": size,
                    "duration": time.perf_counter() - begun,
                },
            )
