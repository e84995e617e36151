"""Whose word on traces is taken: of strangers, `traceparent` and its like are kept aside, and begin no trace here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Trust = Callable[[Scope], bool]
TrustPredicate = Trust

_CLAIMS = (b"traceparent", b"tracestate", b"baggage")
_App = Callable[[Scope, Any, Any], Awaitable[None]]


class InboundTraceContextMiddleware:
    """ASGI middleware: headers of traces that are not trusted are renamed `x-claimed-…`.

    Args:
        app: what it stands around.
        trust: tells of a request whether its sender is trusted.
    """

    def __init__(self, app: _App, *, trust: Trust) -> None:
        self._app, self._trust = app, trust

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] in ("http", "websocket") and not self._trust(scope):
            headers = [
                (b"x-claimed-" + name if name.lower() in _CLAIMS else name, value) for name, value in scope["headers"]
            ]
            scope = {**scope, "headers": headers}
        await self._app(scope, receive, send)


class TraceResponseHeaderMiddleware:
    """ASGI middleware: answers tell their trace, so that who asked can name it.

    Args:
        app: what it stands around.
        header_name: the header.
        overwrite: whether it takes the place of one that is there.
        expose_via_cors: whether pages of other origins may read it.
    """

    def __init__(
        self, app: _App, *, header_name: str = "traceparent", overwrite: bool = False, expose_via_cors: bool = True
    ) -> None:
        self._app, self._name = app, header_name.lower().encode()
        self._overwrite, self._expose = overwrite, expose_via_cors

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The state of a request is one for all layers, whatever copies of its scope they make.
        state = scope.setdefault("state", {})

        async def telling(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start" and (told := state.get(RESPONSE_TRACE)) is not None:
                headers = list(message.get("headers", ()))
                is_there = any(name.lower() == self._name for name, _ in headers)
                if self._overwrite or not is_there:
                    headers = [one for one in headers if one[0].lower() != self._name]
                    headers.append((self._name, told.encode()))
                    if self._expose:
                        headers.append((b"access-control-expose-headers", self._name))
                    message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, telling)


RESPONSE_TRACE = "ironbridge_traceparent"
"""Where the interceptor leaves a request's `traceparent`, in its state."""


def trust_no_one() -> Trust:
    """Takes nobody's word."""
    return lambda _scope: False


def trust_any_of(*trusts: Trust) -> Trust:
    """Takes the word of whom one of these trusts."""
    return lambda scope: any(trust(scope) for trust in trusts)


def trust_requests_without_origin(allowed: Collection[str] = ()) -> Trust:
    """Takes the word of what is no page in a browser, and of pages of these origins."""
    return lambda scope: (origin := _header(scope, "origin")) is None or origin in allowed


def trust_when_header_matches(name: str, value: str) -> Trust:
    """Takes the word of requests with this header."""
    return lambda scope: _header(scope, name) == value


def install_inbound_trace_boundary(trust: Trust) -> Callable[[Any], Any]:
    """What puts the boundary around an application: `boundary = install_inbound_trace_boundary(trust); boundary(app)`."""

    def install(app: Any) -> Any:
        app.add_middleware(InboundTraceContextMiddleware, trust=trust)
        return app

    return install


def _header(scope: Mapping[str, Any], name: str) -> str | None:
    wanted = name.lower().encode()
    return next((value.decode("latin-1") for key, value in scope["headers"] if key.lower() == wanted), None)
