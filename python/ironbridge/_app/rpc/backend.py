"""The backend of clients: httpx, with connections that are kept."""

from __future__ import annotations

import time
from typing import Any, Protocol

from ...errors import ConfigurationError
from .. import const
from .messages import HttpRPCRequest, HttpRPCResponse, RPCRequestNetworkError, TimeoutException


class HttpRPCAsyncBackend(Protocol):
    """Sends requests."""

    async def request(self, request: HttpRPCRequest) -> HttpRPCResponse:
        """The answer, whatever its status.

        Raises:
            RPCRequestNetworkError, TimeoutException: there is none.
        """


class HTTPXHttpRPCAsyncBackend:
    """Sends requests by httpx.

    Args:
        prefix_url: before their URLs.
        default_timeout: seconds.
        client: one of yours, which you close; one that is made at first use unless given.

    Raises:
        ConfigurationError: the package httpx is missing.
    """

    def __init__(
        self, prefix_url: str = "", default_timeout: float = const.HTTP_RPC_DEFAULT_TIMEOUT, *, client: Any = None
    ) -> None:
        try:
            import httpx
        except ImportError as missing:
            raise ConfigurationError("clients of other services need the package httpx: pip install httpx") from missing
        self._httpx, self._client = httpx, client
        self._prefix, self._timeout = prefix_url.rstrip("/"), default_timeout

    async def request(self, request: HttpRPCRequest) -> HttpRPCResponse:
        """Sends it: see `HttpRPCAsyncBackend`."""
        if self._client is None:
            self._client = self._httpx.AsyncClient()
        limit = request.timeout if request.timeout is not None else self._timeout
        headers = dict(request.headers)
        if request.content_type is not None:
            headers["content-type"] = request.content_type
        body: dict[str, Any] = {}
        if request.form or request.files:
            body = {"data": request.form or None, "files": request.files or None}
        elif isinstance(request.body, bytes | str):
            body = {"content": request.body}
        elif request.body is not None:
            body = {"json": request.body}
        begun = time.perf_counter()
        try:
            answer = await self._client.request(
                request.method, self._prefix + request.url, params=request.query, headers=headers, timeout=limit, **body
            )
        except self._httpx.TimeoutException:
            raise TimeoutException(request, limit) from None
        except self._httpx.HTTPError as error:
            raise RPCRequestNetworkError(request, str(error) or type(error).__name__) from error
        return HttpRPCResponse(answer.status_code, answer.content, answer.headers, time.perf_counter() - begun)

    async def aclose(self) -> None:
        """Closes its connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None
