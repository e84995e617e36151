"""A request to another service, its answer, and how it fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import DeadlineExceeded, IronbridgeError, ServiceUnavailable


@dataclass
class HttpRPCRequest:
    """A request; middlewares may change it.

    Attributes:
        url: behind the backend's prefix.
        query: texts, or lists of them.
        body: what is sent as JSON, or bytes that are sent as they are; `None`: nothing.
        form, files: of a form; files are bytes, or `(name, bytes)`.
        timeout: seconds; the backend's unless given.
    """

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    body: Any = None
    form: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Any] = field(default_factory=dict)
    content_type: str | None = None
    timeout: float | None = None


@dataclass
class HttpRPCResponse:
    """An answer.

    Attributes:
        data: its body's bytes.
        elapsed_time: seconds.
    """

    status_code: int
    data: bytes
    headers: Mapping[str, str]
    elapsed_time: float = 0.0


class RPCRequestNetworkError(ServiceUnavailable):
    """The other service could not be reached, or the connection was lost."""

    def __init__(self, request: HttpRPCRequest, why: object) -> None:
        super().__init__(f"{request.method} {request.url}: {why}", fate="outcome unknown")
        self.request = request


class TimeoutException(DeadlineExceeded):
    """The other service has not answered in time; it may have done what was asked."""

    def __init__(self, request: HttpRPCRequest, seconds: float) -> None:
        super().__init__(f"{request.method} {request.url}: no answer within {seconds:g} s", fate="outcome unknown")
        self.request = request


class RPCUnhandleError(IronbridgeError):
    """An answer that is no success, and that nobody handles."""

    def __init__(self, request: HttpRPCRequest, response: HttpRPCResponse) -> None:
        text = response.data[:500].decode(errors="replace")
        super().__init__(f"{request.method} {request.url}: answered {response.status_code}: {text}", fate="executed")
        self.request, self.response = request, response
