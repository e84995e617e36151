"""Values as JavaScript compares and converts them: rules mean the same at nodes of either language."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "undefined", "__bool__": lambda self: False})()
"""Where `None` is a value: that there is none."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|Infinity)")
_BASES = {"0x": 16, "0o": 8, "0b": 2}


def is_number(value: Any) -> bool:
    """Whether it is a number there; `True` is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def text(value: Any) -> str:
    """`String(value)`."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if value is MISSING:
        return "undefined"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
    if isinstance(value, list | tuple):
        return ",".join("" if one is None else text(one) for one in value)
    if isinstance(value, dict):
        return "[object Object]"
    return str(value)


def number(value: Any) -> float | int:
    """`Number(value)`; NaN where it is none."""
    if isinstance(value, bool):
        return int(value)
    if is_number(value):
        found: float | int = value
        return found
    if value is None:
        return 0
    if isinstance(value, datetime):
        return value.timestamp() * 1000
    if isinstance(value, list | tuple):
        return number(text(value))
    if not isinstance(value, str):
        return math.nan
    stripped = value.strip()
    if not stripped:
        return 0
    if (base := _BASES.get(stripped[:2].lower())) is not None:
        try:
            return int(stripped[2:], base)
        except ValueError:
            return math.nan
    if not _NUMBER.fullmatch(stripped):
        return math.nan
    read = float(stripped.replace("Infinity", "inf"))
    return int(read) if read.is_integer() and "." not in stripped and abs(read) < 2**53 else read


def date(value: Any) -> datetime | None:
    """`new Date(value)`; `None` where it is invalid."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, str) and not math.isnan(number(value)) and value:
        value = number(value)
    try:
        if is_number(value):
            return datetime.fromtimestamp(value / 1000, UTC)
        if isinstance(value, str):
            read = datetime.fromisoformat(value)
            return read if read.tzinfo else read.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def same(one: Any, other: Any) -> bool:
    """`one === other`."""
    if is_number(one) and is_number(other):
        return bool(one == other)
    if type(one) is not type(other) or isinstance(one, list | dict):
        return one is other
    return bool(one == other)


def alike(one: Any, other: Any) -> bool:
    """`one == other`."""
    if one in (None, MISSING) or other in (None, MISSING):
        return one in (None, MISSING) and other in (None, MISSING)
    if type(one) is type(other) or (is_number(one) and is_number(other)):
        return same(one, other)
    if isinstance(one, list | dict) and isinstance(other, list | dict):
        return one is other
    if isinstance(one, dict) or isinstance(other, dict):
        return text(one) == text(other)
    return bool(number(one) == number(other))


def length(value: str) -> int:
    """`value.length`: in UTF-16's units."""
    return len(value) if value.isascii() else len(value.encode("utf-16-le", "surrogatepass")) // 2


def within(value: Any, values: list[Any]) -> bool:
    """`values.indexOf(value) !== -1`."""
    return any(same(value, one) for one in values)
