"""Routes: each request of a controller's endpoint as a unit of work, which is over before its response is sent."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException, WebSocketException

from ...errors import ConfigurationError
from ..core.contexts import AppTransactionContext, HttpTransactionData, WebSocketTransactionData, current_context
from ..core.lifecycle import Running
from ..errors import FilterError
from ..reflect.controllers import ControllerMemberReflect, member_of
from ..reflect.decorators import members
from .decorators import HttpMapping, RestController, UseDependency, UseMiddleware, WebSocketEndpoint
from .exceptions import PresentationException
from .signatures import OWN, named, of_method

_entered: ContextVar[AsyncExitStack] = ContextVar("middlewares")


class Serving:
    """The process that serves, once it has begun; routes are made before it has.

    Args:
        wraps_errors: whether exceptions that nobody handles become `PresentationException`s.
    """

    def __init__(self, wraps_errors: bool) -> None:
        self.wraps_errors = wraps_errors
        self._process: Running | None = None

    @property
    def process(self) -> Running:
        """The process.

        Raises:
            ConfigurationError: it has not begun.
        """
        if self._process is None:
            raise ConfigurationError(
                "the application has not started: serve it with something that runs its lifespan, as uvicorn does, or "
                "enter it by `with TestClient(app):`"
            )
        return self._process

    @process.setter
    def process(self, process: Running | None) -> None:
        self._process = process


def router_of(
    controller: type[Any], serving: Serving, middlewares: Sequence[type[Any]] = (), fastapi: FastAPI | None = None
) -> APIRouter | None:
    """A controller's router; `None` when it is not one of HTTP.

    Args:
        controller: its class.
        serving: the process that will serve.
        middlewares: those of the application, the outermost first.
        fastapi: the application, whose overrides of dependencies hold for its routes.
    """
    rest = RestController.get_bound_from_type(controller, inherit=True, last=True)
    if rest is None:
        return None
    inherit, own = rest.class_inherits_decorators, rest.methods_inherit_decorators
    options = dict(rest.options)
    around = [*middlewares, *rest.middlewares]
    around += [one.middleware for one in reversed(UseMiddleware.get_all_from_type(controller, inherit))]
    outer = [_entering(one, serving) for one in around]
    outer += [_depends(one.dependency) for one in reversed(UseDependency.get_all_from_type(controller, inherit))]
    options["dependencies"] = [*outer, *options.get("dependencies", ())]
    if rest.router_factory is None:
        router = APIRouter(prefix=rest.path, dependency_overrides_provider=fastapi, **options)
    else:
        router = rest.router_factory(prefix=rest.path, **options)
    found: list[tuple[int, functools.partial[None]]] = []
    for name, _ in members(controller):
        inner = [
            _entering(one.middleware, serving)
            for one in reversed(UseMiddleware.get_all_from_method(controller, name, own))
        ]
        inner += [
            _depends(one.dependency) for one in reversed(UseDependency.get_all_from_method(controller, name, own))
        ]
        for mapping in HttpMapping.get_all_from_method(controller, name, own):
            add = functools.partial(_add, router, rest, controller, name, mapping, inner, serving)
            found.append((mapping.order, add))
        for socket in WebSocketEndpoint.get_all_from_method(controller, name, own):
            endpoint = _websocket_endpoint(controller, name, serving)
            router.add_api_websocket_route(socket.path, endpoint, dependencies=inner, **socket.options)
    for _, add in sorted(found, key=lambda one: one[0]):
        add()
    return router


def _add(
    router: APIRouter,
    rest: RestController,
    controller: type[Any],
    name: str,
    mapping: HttpMapping,
    dependencies: list[Any],
    serving: Serving,
) -> None:
    options = dict(mapping.options)
    options["dependencies"] = [*dependencies, *options.get("dependencies", ())]
    options.setdefault("name", name)
    member = member_of(controller, name)
    endpoint = _endpoint(controller, name, serving)
    router.route_class = _route_class(serving, member, options.pop("route_class_override", None))
    router.add_api_route(mapping.path, endpoint, methods=[mapping.method], **options)
    if mapping.path == "/" and rest.path:
        # Without it, a request of the controller's own path would cost a redirection.
        router.add_api_route("", endpoint, methods=[mapping.method], **{**options, "include_in_schema": False})


def _depends(dependency: Any) -> Any:
    return dependency if type(dependency).__name__ == "Depends" else Depends(dependency)


def _route_class(serving: Serving, member: ControllerMemberReflect, base: type[APIRoute] | None) -> type[APIRoute]:
    class UnitOfWorkRoute(base or APIRoute):  # type: ignore[misc]
        """One endpoint, whose requests are units of work."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            """What makes a response of a request. FastAPI sends it when this has returned it."""
            handle = super().get_route_handler()
            has_middlewares = any(getattr(one.call, "enters", False) for one in self.dependant.dependencies)
            return _unit_of_work(serving, member, handle, has_middlewares)

    return UnitOfWorkRoute


def _unit_of_work(
    serving: Serving,
    member: ControllerMemberReflect,
    handle: Callable[[Request], Coroutine[Any, Any, Response]],
    has_middlewares: bool,
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def run(request: Request) -> Response:
        unit_of_work = serving.process.unit_of_work
        context = AppTransactionContext(HttpTransactionData(request, None), member)  # type: ignore[arg-type]
        try:
            if unit_of_work.is_plain and not has_middlewares:
                tokens = unit_of_work.enter(context)
                try:
                    return await handle(request)
                finally:
                    unit_of_work.leave(tokens)
            async with unit_of_work(context), AsyncExitStack() as entered:
                token = _entered.set(entered)
                try:
                    return await handle(request)
                finally:
                    _entered.reset(token)
        except (HTTPException, RequestValidationError, PresentationException):
            raise
        except FilterError as error:
            raise HTTPException(422, str(error)) from error
        except Exception as error:
            if not serving.wraps_errors or _is_handled(request, error):
                raise
            response = context.transaction_data.response  # type: ignore[union-attr]
            raise PresentationException(original_exception=error, request=request, response=response) from error

    return run


def _is_handled(request: Request, error: Exception) -> bool:
    handlers = request.app.exception_handlers
    return any(kind in handlers for kind in type(error).__mro__ if kind is not Exception)


def _endpoint(controller: type[Any], name: str, serving: Serving) -> Callable[..., Any]:
    """A controller's method as FastAPI calls it."""
    function = inspect.unwrap(getattr(controller, name))
    # FastAPI gives a response to one parameter alone.
    theirs = named(function, Response)
    parameter = theirs or OWN + "response"

    def method(values: dict[str, Any]) -> Callable[..., Any]:
        data = current_context.get().transaction_data
        data.response = values[parameter] if theirs else values.pop(parameter)  # type: ignore[union-attr]
        found: Callable[..., Any] = getattr(serving.process.controllers[controller], name)
        return found

    if inspect.iscoroutinefunction(function):

        async def endpoint(**values: Any) -> Any:
            return await method(values)(**values)

    else:

        def endpoint(**values: Any) -> Any:  # type: ignore[misc]
            return method(values)(**values)

    _look_like(endpoint, getattr(controller, name), {} if theirs else {"response": Response})
    return endpoint


def _websocket_endpoint(controller: type[Any], name: str, serving: Serving) -> Callable[..., Any]:
    member, theirs = member_of(controller, name), named(getattr(controller, name), WebSocket)
    parameter = theirs or OWN + "websocket"

    async def endpoint(**values: Any) -> None:
        websocket = values[parameter] if theirs else values.pop(parameter)
        context = AppTransactionContext(WebSocketTransactionData(websocket), member)
        process = serving.process
        try:
            async with process.unit_of_work(context):
                await getattr(process.controllers[controller], name)(**values)
        except (HTTPException, WebSocketException):
            raise
        except Exception as error:
            if not serving.wraps_errors:
                raise
            raise PresentationException(original_exception=error, websocket=websocket) from error

    _look_like(endpoint, getattr(controller, name), {} if theirs else {"websocket": WebSocket})
    return endpoint


def _look_like(endpoint: Any, function: Any, own: dict[str, Any]) -> None:
    endpoint.__signature__ = of_method(function, own)
    endpoint.__name__, endpoint.__doc__ = function.__name__, function.__doc__
    endpoint.__module__, endpoint.__qualname__ = function.__module__, function.__qualname__


def _entering(middleware: type[Any], serving: Serving) -> Any:
    """The dependency that begins a middleware; it ends when the endpoint has, before the unit of work does."""

    async def enter(**values: Any) -> None:
        instance = await serving.process.container.provide(middleware)
        around = asynccontextmanager(instance.intercept)(**values)
        entered = _entered.get(None)
        if entered is None:
            raise ConfigurationError(f"{middleware.__qualname__} is a middleware of HTTP: a websocket cannot have it")
        await entered.enter_async_context(around)

    enter.__signature__ = of_method(middleware.intercept)  # type: ignore[attr-defined]
    enter.enters = True  # type: ignore[attr-defined]
    return Depends(enter)
