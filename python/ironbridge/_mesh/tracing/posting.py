"""JSON posted over HTTP, with a deadline."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from ..errors import BrokerOptionsError

PATIENCE = 10.0
"""Seconds."""


def address(url: str, option: str) -> str:
    """A URL of HTTP, without the slash at its end.

    Raises:
        BrokerOptionsError: it is another kind of URL, or none.
    """
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise BrokerOptionsError(f"{option}={url!r}: give a URL that begins with http:// or https://")
    return url.rstrip("/")


async def post(url: str, body: Any, headers: Mapping[str, str] | None = None) -> None:
    """Posts something as JSON.

    Raises:
        OSError: nobody answered in time, or the answer is a refusal; its text tells the status.
    """
    data = json.dumps(body, allow_nan=False).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **(headers or {})}, method="POST")
    await asyncio.to_thread(_posted, request)


def _posted(request: urllib.request.Request) -> None:
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            answer.read(4096)
    except urllib.error.HTTPError as error:
        with error:
            raise OSError(f"{request.host} has answered {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise OSError(f"{request.host} does not answer: {error.reason}") from error
