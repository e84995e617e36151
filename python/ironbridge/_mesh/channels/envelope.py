"""What goes beside a message: of the call that it belongs to, in the headers that `@moleculer/channels` writes."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from ...errors import PayloadError
from ..payloads import plain

ORIGINAL_ID = "x-original-id"
ORIGINAL_CHANNEL = "x-original-channel"
ORIGINAL_GROUP = "x-original-group"
_DEEPEST = 1_000_000


def written(value: Any) -> bytes:
    """A payload, or headers, as JSON.

    Raises:
        PayloadError: it holds what JSON has not.
    """
    try:
        return json.dumps(plain(value), separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"this cannot be sent to a channel: {error}") from error


def read(data: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        PayloadError: it is none.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"this is no JSON: {error}") from error


def headers_of(ctx: Any, given: Mapping[str, Any] | None) -> dict[str, str]:
    """The headers of a message that is sent within a call, or of its own."""
    headers = {str(name): str(value) for name, value in (given or {}).items()}
    if ctx is None:
        return headers
    headers |= {
        "$requestID": str(ctx.request_id),
        "$parentID": str(ctx.id),
        "$tracing": {True: "true", False: "false"}.get(ctx.tracing, "null"),
        "$level": str(ctx.level),
        "$meta": _packed(ctx.meta),
    }
    if ctx.service is not None:
        headers["$caller"] = str(ctx.service.full_name)
    if ctx.headers:
        headers["$headers"] = _packed(ctx.headers)
    return headers


def context_of(broker: Any, service: Any, payload: Any, headers: Mapping[str, str]) -> Any:
    """The context that a message is handled in: of the call that sent it, one level further. Headers come from
    others: what is not as it should be is left out. The sender's own are the context's headers."""
    known: dict[str, Any] = {"params": payload, "meta": _unpacked(headers.get("$meta"))}
    if request := headers.get("$requestID"):
        level = headers.get("$level", "0")
        known |= {
            "request_id": request,
            "parent_id": headers.get("$parentID"),
            "level": min(int(level), _DEEPEST) + 1 if level.isdecimal() and len(level) < 9 else 1,
            "tracing": headers.get("$tracing") == "true",
            "caller": headers.get("$caller"),
        }
    beside = {name: value for name, value in headers.items() if not name.startswith("$")}
    known["headers"] = {**beside, **_unpacked(headers.get("$headers"))}
    ctx = broker.make_context(**known)
    ctx.service = service
    return ctx


def _packed(value: Any) -> str:
    return base64.b64encode(written(value)).decode()


def _unpacked(text: str | None) -> dict[str, Any]:
    if not text:
        return {}
    try:
        found = read(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, PayloadError):
        return {}
    return found if isinstance(found, dict) else {}
