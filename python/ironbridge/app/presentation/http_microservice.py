"""An application over HTTP."""

from __future__ import annotations

from ..._app.http.decorators import HttpMiddleware
from ..._app.http.server import HttpMicroservice, create_http_server

__all__ = ["HttpMicroservice", "HttpMiddleware", "create_http_server"]
