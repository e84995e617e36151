"""What stands around requests: who asks, what is kept, who is told."""

from __future__ import annotations

import base64
import json
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from typing import Protocol

from .messages import HttpRPCRequest, HttpRPCResponse

_MOST_KEPT = 1000


class RequestMiddleware(Protocol):
    """Changes requests before they are sent."""

    async def on_request(self, request: HttpRPCRequest) -> HttpRPCRequest:
        """The request that is sent."""


class ResponseMiddleware(Protocol):
    """Changes answers."""

    async def on_response(self, request: HttpRPCRequest, response: HttpRPCResponse) -> HttpRPCResponse:
        """The answer that counts."""


class RequestHook(Protocol):
    """Is told of requests."""

    async def before_request(self, request: HttpRPCRequest) -> None:
        """One is sent now."""


class ResponseHook(Protocol):
    """Is told of answers."""

    async def after_response(self, request: HttpRPCRequest, response: HttpRPCResponse) -> None:
        """One has come."""


class AuthenticationMiddleware(ABC):
    """Adds headers that say who asks; derive from it."""

    @abstractmethod
    def headers(self) -> dict[str, str]:
        """What is added."""

    async def on_request(self, request: HttpRPCRequest) -> HttpRPCRequest:
        """Adds them."""
        request.headers.update(self.headers())
        return request


class BearerTokenAuth(AuthenticationMiddleware):
    """A bearer token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def headers(self) -> dict[str, str]:
        """`Authorization`."""
        return {"authorization": f"Bearer {self._token}"}


class BasicAuth(AuthenticationMiddleware):
    """A user and a password."""

    def __init__(self, username: str, password: str) -> None:
        self._told = base64.b64encode(f"{username}:{password}".encode()).decode()

    def headers(self) -> dict[str, str]:
        """`Authorization`."""
        return {"authorization": f"Basic {self._told}"}


class ApiKeyAuth(AuthenticationMiddleware):
    """A key in a header."""

    def __init__(self, api_key: str, header_name: str = "X-API-Key") -> None:
        self._name, self._key = header_name, api_key

    def headers(self) -> dict[str, str]:
        """The header."""
        return {self._name: self._key}


class TracedRequestMiddleware:
    """Has the other service go on in the trace that runs now."""

    async def on_request(self, request: HttpRPCRequest) -> HttpRPCRequest:
        """Adds `traceparent`, where there is OpenTelemetry."""
        try:
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError:
            return request
        TraceContextTextMapPropagator().inject(request.headers)
        return request


class CacheMiddleware:
    """Keeps successful answers of GET for a while, the newest of them.

    Args:
        ttl_seconds: how long.
        most: how many.
    """

    def __init__(self, ttl_seconds: float = 300, most: int = _MOST_KEPT) -> None:
        self._ttl, self._most = ttl_seconds, most
        self._kept: OrderedDict[str, tuple[float, HttpRPCResponse]] = OrderedDict()

    def found(self, request: HttpRPCRequest) -> HttpRPCResponse | None:
        """The answer that is kept; `None` where there is none."""
        kept = self._kept.get(self._key(request)) if request.method == "GET" else None
        return kept[1] if kept is not None and kept[0] > time.monotonic() else None

    async def on_response(self, request: HttpRPCRequest, response: HttpRPCResponse) -> HttpRPCResponse:
        """Keeps it."""
        if request.method == "GET" and 200 <= response.status_code < 300:
            self._kept[self._key(request)] = (time.monotonic() + self._ttl, response)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return response

    @staticmethod
    def _key(request: HttpRPCRequest) -> str:
        # Of another user, another answer: headers are a part of the key.
        return json.dumps([request.url, request.query, sorted(request.headers.items())], default=str)
