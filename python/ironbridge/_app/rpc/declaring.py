"""Decorators that say what another service's endpoints are."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

from .. import const
from ..reflect.decorators import StackableDecorator
from .messages import HttpRPCRequest, HttpRPCResponse

Kind = Literal["query", "header", "path", "body", "form", "file"]
Handler = Callable[[HttpRPCRequest, HttpRPCResponse], Any]


class RestClient(StackableDecorator):
    """Has a class be a client of another service.

    Args:
        base_path: before the paths of all its methods.
    """

    def __init__(self, base_path: str = "") -> None:
        self.base_path = base_path


class HttpMapping(StackableDecorator):
    """Has a method be an endpoint.

    Args:
        method: HTTP's.
        path: with `:name` or `{name}` for what is put in.
        success_statuses: those that are a success; 200 to 299 unless given.
    """

    def __init__(self, method: str, path: str = "", success_statuses: Collection[int] | None = None) -> None:
        self.method, self.path, self.success_statuses = method, path, success_statuses


class HttpGet(HttpMapping):
    """GET."""

    def __init__(self, path: str = "", success_statuses: Collection[int] | None = None) -> None:
        super().__init__("GET", path, success_statuses)


class HttpPost(HttpMapping):
    """POST."""

    def __init__(self, path: str = "", success_statuses: Collection[int] | None = None) -> None:
        super().__init__("POST", path, success_statuses)


class HttpPut(HttpMapping):
    """PUT."""

    def __init__(self, path: str = "", success_statuses: Collection[int] | None = None) -> None:
        super().__init__("PUT", path, success_statuses)


class HttpPatch(HttpMapping):
    """PATCH."""

    def __init__(self, path: str = "", success_statuses: Collection[int] | None = None) -> None:
        super().__init__("PATCH", path, success_statuses)


class HttpDelete(HttpMapping):
    """DELETE."""

    def __init__(self, path: str = "", success_statuses: Collection[int] | None = None) -> None:
        super().__init__("DELETE", path, success_statuses)


class RequestAttribute(StackableDecorator):
    """Says where a parameter goes. One that nothing is said of goes into the path if that has its name, a model into the
    body, and anything else into the query.

    Args:
        kind: `query`, `header`, `path`, `body`, `form` or `file`.
        name: as the other service has it; the parameter is the one of the same letters (`X-Tenant` is `x_tenant`).
    """

    def __init__(self, kind: Kind, name: str) -> None:
        self.kind, self.name = kind, name

    @property
    def parameter(self) -> str:
        """The parameter's name."""
        return self.name.replace("-", "_")


class Query(RequestAttribute):
    """A parameter of the query."""

    def __init__(self, name: str) -> None:
        super().__init__("query", name)


class Header(RequestAttribute):
    """A header."""

    def __init__(self, name: str) -> None:
        super().__init__("header", name)


class PathParam(RequestAttribute):
    """A part of the path."""

    def __init__(self, name: str) -> None:
        super().__init__("path", name)


class Body(RequestAttribute):
    """The body, as JSON; bytes as they are."""

    def __init__(self, name: str) -> None:
        super().__init__("body", name)


class FormData(RequestAttribute):
    """A field of a form."""

    def __init__(self, name: str) -> None:
        super().__init__("form", name)


class File(RequestAttribute):
    """A file of a form: bytes, or `(name, bytes)`."""

    def __init__(self, name: str) -> None:
        super().__init__("file", name)


class Timeout(StackableDecorator):
    """How long a method, or all of a class's, waits, in seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class ContentType(StackableDecorator):
    """The content type of a method's body."""

    def __init__(self, content_type: str) -> None:
        self.content_type = content_type


@dataclass(frozen=True)
class RPCRetryPolicy:
    """How often something is tried.

    Attributes:
        max_attempts: in all.
        backoff_factor: seconds before the second try; each further pause is twice the one before.
        retry_on_status_codes: answers that are tried again; lost connections are, too.
    """

    max_attempts: int = const.HTTP_RPC_DEFAULT_RETRY_ATTEMPTS
    backoff_factor: float = const.HTTP_RPC_DEFAULT_RETRY_BACKOFF
    retry_on_status_codes: tuple[int, ...] = (500, 502, 503, 504)


class Retry(StackableDecorator):
    """Has a method, or all of a class's, be tried again. It may run more than once then."""

    def __init__(self, policy: RPCRetryPolicy | None = None) -> None:
        self.policy = policy or RPCRetryPolicy()


class RouteHttpErrorHandler(StackableDecorator):
    """Has answers of a status give what a function makes of them.

    Args:
        status_code: which.
        callback: takes the request and the response; it may raise.
    """

    def __init__(self, status_code: int, callback: Handler) -> None:
        self.status_code, self.callback = status_code, callback


class GlobalHttpErrorHandler(RouteHttpErrorHandler):
    """The same, of all methods of a class."""
