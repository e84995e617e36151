"""An application: dependency injection, HTTP, a message bus, websockets, a schedule, and TypeScript of it all.

    from ironbridge.app import Get, Microservice, RestController, create_http_server

    @RestController("/greetings")
    class Greetings:
        @Get("/{name}")
        async def greet(self, name: str) -> str:
            return f"Hello, {name}!"

    app = Microservice(controllers=[Greetings])
    web_app = create_http_server(app)

Names are imported when they are used, so that a process loads only what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .._app.names import NAMES

__all__ = sorted(NAMES)


def __getattr__(name: str) -> Any:
    module = NAMES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = import_module(f"ironbridge._app.{module}")
    value = found if module == name else getattr(found, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
