"""A controller's endpoints, as its routes have them."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

from fastapi import Response
from fastapi.routing import APIRoute

from ...errors import ConfigurationError
from ..http.decorators import HttpMapping
from ..http.routes import Serving, router_of
from .naming import client_method
from .parameters import Parameter, parameters_of


@dataclass
class Endpoint:
    """One endpoint.

    Attributes:
        name: of the client's method.
        method: of HTTP.
        path: with `:name` for each parameter.
        result: the type of what it gives.
        response_type: how the response is read, if that is said.
        parameters: in their order.
        embeds: whether the body has its parameters by their names, though it may be one.
        by_alias: whether models of the response are written by their fields' aliases.
    """

    name: str
    method: str
    path: str
    result: Any
    response_type: str | None
    parameters: list[Parameter]
    embeds: bool
    by_alias: bool


def endpoints_of(controller: type[Any], middlewares: tuple[type[Any], ...] = ()) -> list[Endpoint] | None:
    """A controller's endpoints, by name; `None` when it is none of HTTP.

    Args:
        controller: its class.
        middlewares: those of the application.

    Raises:
        ConfigurationError: two endpoints would have one name.
    """
    router = router_of(controller, Serving(wraps_errors=False), middlewares)
    if router is None:
        return None
    found: dict[str, Endpoint] = {}
    routes: dict[int, Endpoint] = {}
    functions: dict[str, str] = {}
    for route in router.routes:
        if not isinstance(route, APIRoute):
            continue
        if (same := routes.get(id(route.endpoint))) is not None:
            # The controller's own path is served without its slash, too, and so at once.
            same.path = _path(route)
            continue
        one = routes[id(route.endpoint)] = _endpoint(controller, route)
        if functions.setdefault(one.name, route.endpoint.__name__) != route.endpoint.__name__:
            raise ConfigurationError(f"two methods of {controller.__name__} would be {one.name}: rename one")
        if one.name in found:  # a method that is several endpoints
            one.name += one.method.capitalize()
        if one.name in found:
            raise ConfigurationError(f"{controller.__name__}.{route.endpoint.__name__} is {one.method} twice: drop one")
        found[one.name] = one
    return [found[name] for name in sorted(found)]


def _endpoint(controller: type[Any], route: APIRoute) -> Endpoint:
    method = min(route.methods or {"GET"})
    mappings = HttpMapping.get_all_from_method(controller, route.endpoint.__name__)
    response_type = next((one.response_type for one in reversed(mappings) if one.method == method), None)
    return Endpoint(
        client_method(route.endpoint.__name__),
        method,
        _path(route),
        _result(route, response_type),
        response_type,
        parameters_of(route.dependant),
        bool(route._embed_body_fields),
        route.response_model_by_alias,
    )


def _path(route: APIRoute) -> str:
    return re.sub(r"{([^}:]+)(:[^}]+)?}", r":\1", route.path)


def _result(route: APIRoute, response_type: str | None) -> Any:
    if response_type in ("arraybuffer", "blob", "document", "stream"):
        return Any
    told = inspect.signature(route.endpoint).return_annotation
    found = told if route.response_model is None else route.response_model
    if found is inspect.Signature.empty or (isinstance(found, type) and issubclass(found, Response)):
        return Any
    return found
