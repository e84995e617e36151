"""Exceptions on their way to a response."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response, WebSocket

Details = Any


class PresentationException(Exception):
    """An exception of an endpoint that nobody handles, with what it was serving.

    Attributes:
        original_exception: the exception.
        request, response: of an HTTP endpoint.
        websocket: of a websocket's.
    """

    def __init__(
        self,
        *,
        original_exception: Exception,
        request: Request | None = None,
        response: Response | None = None,
        websocket: WebSocket | None = None,
    ) -> None:
        super().__init__(f"{type(original_exception).__name__}: {original_exception}")
        self.original_exception = original_exception
        self.request, self.response, self.websocket = request, response, websocket


@contextmanager
def raises_http_exception_on(
    exc_type: type[Exception] | tuple[type[Exception], ...],
    status_code: int = 500,
    details: Details | Callable[[Exception], Details] = None,
) -> Iterator[None]:
    """Makes a response of an exception.

    Args:
        exc_type: the exception, or several.
        status_code: the response's status.
        details: what it says, or a function of the exception; the exception's own text unless given.

    Raises:
        HTTPException: the exception was raised within.
    """
    from fastapi import HTTPException

    try:
        yield
    except exc_type as error:
        told = details(error) if callable(details) else details
        raise HTTPException(status_code, detail=str(error) if told is None else told) from error


def _on(status_code: int) -> Callable[..., AbstractContextManager[None]]:
    def raises(
        exc_type: type[Exception] | tuple[type[Exception], ...],
        details: Details | Callable[[Exception], Details] = None,
    ) -> AbstractContextManager[None]:
        return raises_http_exception_on(exc_type, status_code, details)

    raises.__doc__ = f"`raises_http_exception_on` with the status {status_code}."
    return raises


raises_200_on = _on(200)
raises_400_on = _on(400)
raises_401_on = _on(401)
raises_403_on = _on(403)
raises_404_on = _on(404)
raises_422_on = _on(422)
raises_500_on = _on(500)


def setup_fastapi_exception_handler(app: FastAPI, trace_header_name: str = "traceparent") -> None:
    """Has responses of exceptions name the trace of their request in a header."""
    from fastapi.exception_handlers import http_exception_handler
    from starlette.exceptions import HTTPException
    from starlette.responses import JSONResponse

    def traced(request: Request, response: Response) -> Response:
        trace = request.headers.get(trace_header_name)
        if trace is not None:
            response.headers.setdefault(trace_header_name, trace)
        return response

    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return traced(request, await http_exception_handler(request, error))

    async def of_others(request: Request, error: Exception) -> Response:
        return traced(request, JSONResponse({"detail": "Internal Server Error"}, 500))

    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(PresentationException, of_others)
