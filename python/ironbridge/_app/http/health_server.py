"""The health endpoints of a process that serves nothing else: a worker, a beat, a scheduler."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from ...errors import ConfigurationError
from .health import health_router


@asynccontextmanager
async def health_serving(
    ask: Callable[[], Awaitable[dict[str, str]]], place: tuple[str, int] | None
) -> AsyncIterator[None]:
    """Serves `/health/live` and `/health/ready` within.

    Args:
        ask: tells what each check says.
        place: host and port; nothing is served without.

    Raises:
        ConfigurationError: the place is not to be had.
    """
    if place is None:
        yield
        return
    import uvicorn
    from fastapi import FastAPI

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Signals are the process's own."""
            yield

    try:
        listening = socket.create_server(place)
    except OSError as error:
        raise ConfigurationError(f"health endpoints cannot be at {place[0]}:{place[1]}: {error}") from error
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(health_router(ask, "/health"))
    server = Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    serving = asyncio.create_task(server.serve([listening]))
    try:
        yield
    finally:
        server.should_exit = server.force_exit = True
        await asyncio.wait([serving])
