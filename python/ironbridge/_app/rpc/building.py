"""Clients made of classes: each method a request, its answer what the method says that it returns."""

from __future__ import annotations

import asyncio
import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, TypeAdapter

from ...errors import ConfigurationError
from ..reflect.decorators import members
from .backend import HttpRPCAsyncBackend
from .declaring import (
    ContentType,
    GlobalHttpErrorHandler,
    HttpMapping,
    RequestAttribute,
    RestClient,
    Retry,
    RouteHttpErrorHandler,
    RPCRetryPolicy,
    Timeout,
)
from .messages import HttpRPCRequest, HttpRPCResponse, RPCRequestNetworkError, RPCUnhandleError
from .middlewares import CacheMiddleware, RequestHook, RequestMiddleware, ResponseHook, ResponseMiddleware

T = TypeVar("T")
_PLACE = re.compile(r":(\w+)|\{(\w+)\}")
_WITH_BODY = ("POST", "PUT", "PATCH")


class HttpRpcClientBuilder:
    """Makes clients.

    Args:
        backend: sends requests.
        middlewares: change requests, in order; a `CacheMiddleware` among them answers by itself.
        response_middlewares: change answers.
        request_hooks, response_hooks: are told.
    """

    def __init__(
        self,
        backend: HttpRPCAsyncBackend,
        middlewares: Sequence[RequestMiddleware | CacheMiddleware] = (),
        response_middlewares: Sequence[ResponseMiddleware] = (),
        request_hooks: Sequence[RequestHook] = (),
        response_hooks: Sequence[ResponseHook] = (),
    ) -> None:
        self._backend = backend
        self._caches = [one for one in middlewares if isinstance(one, CacheMiddleware)]
        self._requests = [one for one in middlewares if not isinstance(one, CacheMiddleware)]
        self._responses = [*response_middlewares, *self._caches]
        self._before, self._after = request_hooks, response_hooks

    def build(self, kind: type[T]) -> T:
        """A client of a class with `RestClient`.

        Raises:
            ConfigurationError: it is none, or a parameter has no place.
        """
        client = RestClient.get_bound_from_type(kind, inherit=True, last=True)
        if client is None:
            raise ConfigurationError(f"{kind.__qualname__} is no client: it has no @RestClient(…)")
        methods: dict[str, Any] = {}
        for name, function in members(kind):
            mapping = HttpMapping.get_bound_from_method(kind, name)
            if mapping is not None:
                methods[name] = self._method(_Route.of(kind, client, mapping, name, function))
        made: type[T] = type(kind.__name__, (kind,), methods)
        return made.__new__(made)

    def _method(self, route: _Route) -> Callable[..., Any]:
        async def call(_self: Any, *args: Any, **kwargs: Any) -> Any:
            request = route.request(args, kwargs)
            for middleware in self._requests:
                request = await middleware.on_request(request)
            return route.result(request, await self._answer(route, request))

        call.__name__, call.__doc__ = route.name, route.doc
        return call

    async def _answer(self, route: _Route, request: HttpRPCRequest) -> HttpRPCResponse:
        for cache in self._caches:
            if (kept := cache.found(request)) is not None:
                return kept
        for hook in self._before:
            await hook.before_request(request)
        response = await self._tried(request, route.retry)
        for middleware in self._responses:
            response = await middleware.on_response(request, response)
        for told in self._after:
            await told.after_response(request, response)
        return response

    async def _tried(self, request: HttpRPCRequest, policy: RPCRetryPolicy | None) -> HttpRPCResponse:
        attempts = policy.max_attempts if policy is not None else 1
        for attempt in range(1, attempts + 1):
            try:
                response = await self._backend.request(request)
            except RPCRequestNetworkError:
                if attempt == attempts:
                    raise
            else:
                if policy is None or attempt == attempts or response.status_code not in policy.retry_on_status_codes:
                    return response
            assert policy is not None
            await asyncio.sleep(policy.backoff_factor * 2 ** (attempt - 1))
        raise AssertionError("at least one try was made")


@dataclass(frozen=True)
class _Route:
    """One method of a client."""

    name: str
    doc: str | None
    mapping: HttpMapping
    path: str
    signature: inspect.Signature
    places: Mapping[str, RequestAttribute]
    returns: TypeAdapter[Any] | None
    kind: Any
    retry: RPCRetryPolicy | None
    timeout: float | None
    content_type: str | None
    handlers: Mapping[int, Callable[[HttpRPCRequest, HttpRPCResponse], Any]]

    @classmethod
    def of(cls, kind: type[Any], client: RestClient, mapping: HttpMapping, name: str, function: Any) -> _Route:
        path = f"{client.base_path.rstrip('/')}/{mapping.path.lstrip('/')}".rstrip("/") or "/"
        signature = inspect.signature(function)
        parameters = [one for one in signature.parameters.values() if one.name != "self"]
        hints = typing.get_type_hints(function)
        said = {one.parameter.lower(): one for one in RequestAttribute.get_all_from_method(kind, name)}
        in_path = {one or other for one, other in _PLACE.findall(path)}
        places = {
            one.name: said.pop(key)
            if (key := one.name.lower()) in said
            else _guessed(one, hints.get(one.name), in_path, mapping.method)
            for one in parameters
        }
        if said:
            raise ConfigurationError(f"{kind.__qualname__}.{name} has no parameter for {', '.join(sorted(said))}")
        if missing := in_path - {one.name for one in places.values() if one.kind == "path"}:
            raise ConfigurationError(
                f"{kind.__qualname__}.{name}: nothing goes to {', '.join(sorted(missing))} of {path}"
            )
        retry = Retry.get_bound_from_method(kind, name) or Retry.get_bound_from_type(kind)
        timeout = Timeout.get_bound_from_method(kind, name) or Timeout.get_bound_from_type(kind)
        content = ContentType.get_bound_from_method(kind, name)
        handlers: dict[int, Any] = {}
        for handler in (
            *GlobalHttpErrorHandler.get_all_from_type(kind),
            *RouteHttpErrorHandler.get_all_from_method(kind, name),
        ):
            handlers[handler.status_code] = handler.callback
        returned = hints.get("return", inspect.Signature.empty)
        is_raw = returned in (inspect.Signature.empty, Any, HttpRPCResponse, bytes, str, type(None), None)
        return cls(
            name,
            inspect.getdoc(function),
            mapping,
            path,
            signature.replace(parameters=parameters),
            places,
            None if is_raw else TypeAdapter(returned),
            returned,
            retry.policy if retry is not None else None,
            timeout.seconds if timeout is not None else None,
            content.content_type if content is not None else None,
            handlers,
        )

    def request(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> HttpRPCRequest:
        """The request of a call."""
        given = self.signature.bind(*args, **kwargs)
        given.apply_defaults()
        parts: dict[str, str] = {}
        request = HttpRPCRequest(self.mapping.method, "", content_type=self.content_type, timeout=self.timeout)
        for name, value in given.arguments.items():
            place = self.places[name]
            if value is None and place.kind not in ("body", "path"):
                continue
            if place.kind == "path":
                parts[place.name] = quote(str(_plain(value)), safe="")
            elif place.kind == "header":
                request.headers[place.name] = str(_plain(value))
            elif place.kind == "body":
                request.body = value if isinstance(value, bytes) else _plain(value)
            elif place.kind == "file":
                request.files[place.name] = value
            else:
                (request.query if place.kind == "query" else request.form)[place.name] = _plain(value)
        request.url = _PLACE.sub(lambda found: parts[found[1] or found[2]], self.path)
        return request

    def result(self, request: HttpRPCRequest, response: HttpRPCResponse) -> Any:
        """What the method gives.

        Raises:
            RPCUnhandleError: the answer is no success, and nobody handles it.
            ValidationError: it is not what the method says.
        """
        status, wanted = response.status_code, self.mapping.success_statuses
        if not (status in wanted if wanted is not None else 200 <= status < 300):
            if (handle := self.handlers.get(status)) is not None:
                return handle(request, response)
            raise RPCUnhandleError(request, response)
        if self.kind in (type(None), None):
            return None
        if self.kind is bytes:
            return response.data
        if self.kind is str and not response.data.startswith(b'"'):
            return response.data.decode()
        if self.kind is str:
            return TypeAdapter(str).validate_json(response.data)
        return response if self.returns is None else self.returns.validate_json(response.data or b"null")


def _guessed(parameter: inspect.Parameter, hint: Any, in_path: set[str], method: str) -> RequestAttribute:
    if parameter.name in in_path:
        return RequestAttribute("path", parameter.name)
    is_model = isinstance(hint, type) and issubclass(hint, BaseModel)
    return RequestAttribute("body" if is_model and method in _WITH_BODY else "query", parameter.name)


def _plain(value: Any) -> Any:
    return TypeAdapter(Any).dump_python(value, mode="json")
