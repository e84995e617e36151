"""The application as an ASGI server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..core.lifecycle import running
from ..core.microservice import Microservice

if TYPE_CHECKING:
    from fastapi import FastAPI

Lifespan = Callable[[Any], Any]


@dataclass
class HttpMicroservice:
    """What an application has for HTTP alone.

    Args:
        app: the application.
        factory: makes the `FastAPI`, of its lifespan; for its title, its own routes, CORS …
        middlewares: classes as `UseMiddleware` takes them, around all endpoints of all controllers.
        health: where `/live` and `/ready` are; `None`: nowhere. Endpoints of the application come first.
    """

    app: Microservice
    factory: Callable[[Lifespan], FastAPI] | None = None
    middlewares: Sequence[type[Any]] = field(default_factory=list)
    health: str | None = "/health"


def create_http_server(
    http_app: HttpMicroservice | Microservice, *, raise_presentation_exception_if_unhandled: bool = True
) -> FastAPI:
    """Makes the ASGI application: all routes, and OpenAPI, are there at once; providers and interceptors begin with
    its lifespan.

    Args:
        http_app: the application.
        raise_presentation_exception_if_unhandled: whether exceptions of endpoints that nobody handles become
            `PresentationException`s, which tell what was being served.
    """
    from fastapi import FastAPI

    from ..reflect.decorators import members
    from ..ws.direct import ConnectionsKnown
    from .decorators import WebSocketEndpoint
    from .health import health_router, readiness
    from .including import include, look_at_documentation_last
    from .routes import Serving, router_of

    http = http_app if isinstance(http_app, HttpMicroservice) else HttpMicroservice(http_app)
    serving = Serving(raise_presentation_exception_if_unhandled)

    @asynccontextmanager
    async def lifespan(_fastapi: Any) -> AsyncIterator[None]:
        async with running(http.app, "http") as process:
            serving.process = process
            try:
                yield
            finally:
                serving.process = None

    fastapi = http.factory(lifespan) if http.factory is not None else FastAPI(lifespan=lifespan)
    for controller in http.app.controllers:
        router = router_of(controller, serving, http.middlewares, fastapi)
        if router is not None:
            include(fastapi, router)
    if http.health is not None:
        fastapi.include_router(health_router(lambda: readiness(serving.process), http.health))
    look_at_documentation_last(fastapi)
    if any(WebSocketEndpoint.get(function) for one in http.app.controllers for _, function in members(one)):
        fastapi.add_middleware(ConnectionsKnown)
    return fastapi
