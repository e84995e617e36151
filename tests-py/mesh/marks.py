"""Values of JavaScript in JSON: what JSON cannot carry has a mark, `{"$": kind, "value": …}`."""

from __future__ import annotations

import base64
import enum
import math
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Undefined(enum.Enum):
    """JavaScript's `undefined`, which is not `null`."""

    UNDEFINED = "undefined"

    def __repr__(self) -> str:
        return "UNDEFINED"

    def __bool__(self) -> bool:
        return False


UNDEFINED = Undefined.UNDEFINED


def to_js(value: Any) -> Any:
    """What a peer reads as that value."""
    match value:
        case Undefined():
            return {"$": "undefined"}
        case bytes():
            return {"$": "buffer", "value": base64.b64encode(value).decode()}
        case datetime():
            return {"$": "date", "value": round((value - EPOCH) / timedelta(milliseconds=1))}
        case float() if not math.isfinite(value):
            return {"$": "number", "value": "NaN" if math.isnan(value) else f"{value}".replace("inf", "Infinity")}
        case int() if abs(value) > 2**53 and not isinstance(value, bool):
            return {"$": "bigint", "value": str(value)}
        case dict():
            return {key: to_js(item) for key, item in value.items()}
        case list() | tuple():
            return [to_js(item) for item in value]
        case _:
            return value


def from_js(value: Any) -> Any:
    """What a peer told: `Buffer` as bytes, `Date` as datetime, `bigint` as int, `Map` as dict, `Set` as list."""
    if isinstance(value, list):
        return [from_js(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$" not in value:
        return {key: from_js(item) for key, item in value.items()}
    inner: Any = value.get("value")
    match value["$"]:
        case "undefined":
            return UNDEFINED
        case "buffer":
            return base64.b64decode(inner)
        case "date":
            return None if inner is None else EPOCH + timedelta(milliseconds=inner)
        case "number":
            return float(inner)
        case "bigint":
            return int(inner)
        case "map":
            return dict(from_js(inner))
        case "set":
            return from_js(inner)
        case "error":
            return from_js(inner)
        case other:
            return f"<{other} {inner}>"
