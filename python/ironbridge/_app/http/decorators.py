"""What makes a class a REST controller, and its methods endpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from ..reflect.decorators import StackableDecorator

if TYPE_CHECKING:
    from fastapi import APIRouter

F = TypeVar("F", bound=Callable[..., Any])

ResponseType = Literal["arraybuffer", "blob", "document", "json", "text", "stream"]


class HttpMiddleware(Protocol):
    """Stands around endpoints. It is made with its constructor's parameters provided; its `intercept` is an
    asynchronous generator that yields once, whose parameters are FastAPI's: `Request`, headers, dependencies …"""

    def intercept(self, *args: Any, **values: Any) -> Any:
        """Runs what comes before the `yield` before the endpoint, and the rest after it."""


class RestController(StackableDecorator):
    """Makes a class a controller whose endpoints are under a path.

    Args:
        path: the path, before those of its endpoints.
        options: for FastAPI's `APIRouter`: `tags`, `dependencies`, `responses` …
        middlewares: classes as `UseMiddleware` takes them, before those.
        router_factory: makes the router, of its keywords.
        class_inherits_decorators: whether decorators of the classes that it derives from count.
        methods_inherit_decorators: whether decorators of the methods that it overrides count.
    """

    def __init__(
        self,
        path: str = "",
        *,
        options: Mapping[str, Any] | None = None,
        middlewares: Sequence[type[HttpMiddleware]] = (),
        router_factory: Callable[..., APIRouter] | None = None,
        class_inherits_decorators: bool = True,
        methods_inherit_decorators: bool = True,
    ) -> None:
        self.path, self.options, self.middlewares = path, dict(options or {}), tuple(middlewares)
        self.router_factory = router_factory
        self.class_inherits_decorators = class_inherits_decorators
        self.methods_inherit_decorators = methods_inherit_decorators


class HttpMapping(StackableDecorator):
    """Makes a method an endpoint.

    Args:
        method: the HTTP method.
        path: the path, after its controller's.
        options: for FastAPI's `add_api_route`: `status_code`, `response_model`, `tags` …
        response_type: how generated clients read the response.
    """

    _count = 0

    def __init__(
        self,
        method: str,
        path: str = "/",
        options: Mapping[str, Any] | None = None,
        response_type: ResponseType | None = None,
    ) -> None:
        HttpMapping._count += 1
        self.method, self.path, self.options = method, path, dict(options or {})
        self.response_type, self.order = response_type, HttpMapping._count


class _Verb(HttpMapping):
    verb = ""

    def __init__(
        self, path: str = "/", options: Mapping[str, Any] | None = None, response_type: ResponseType | None = None
    ) -> None:
        super().__init__(self.verb, path, options, response_type)


class Get(_Verb):
    """`HttpMapping` of GET."""

    verb = "GET"


class Post(_Verb):
    """`HttpMapping` of POST."""

    verb = "POST"


class Put(_Verb):
    """`HttpMapping` of PUT."""

    verb = "PUT"


class Patch(_Verb):
    """`HttpMapping` of PATCH."""

    verb = "PATCH"


class Delete(_Verb):
    """`HttpMapping` of DELETE."""

    verb = "DELETE"


class WebSocketEndpoint(StackableDecorator):
    """Makes a method a websocket's endpoint.

    Args:
        path: the path, after its controller's.
        options: for FastAPI's `add_api_websocket_route`.
    """

    def __init__(self, path: str, options: Mapping[str, Any] | None = None) -> None:
        self.path, self.options = path, dict(options or {})


class UseMiddleware(StackableDecorator):
    """Has a middleware stand around a controller's endpoints, or around one."""

    def __init__(self, middleware: type[HttpMiddleware]) -> None:
        self.middleware = middleware


class UseDependency(StackableDecorator):
    """Has a FastAPI dependency run before a controller's endpoints, or before one."""

    def __init__(self, dependency: Any) -> None:
        self.dependency = dependency


def compose_route_decorators(*decorators: Callable[[F], F], reverse: bool = False) -> Callable[[F], F]:
    """Several decorators as one: the first is outermost, or innermost when `reverse`."""

    def decorate(subject: F) -> F:
        for decorator in decorators if reverse else reversed(decorators):
            subject = decorator(subject)
        return subject

    return decorate
