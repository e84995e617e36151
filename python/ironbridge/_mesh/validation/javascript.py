"""Values as JavaScript compares and converts them: rules mean the same at nodes of either language."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "undefined", "__bool__": lambda self: False})()
"""Where `None` is a value: that there is none."""

SPACE = " \t\n\r\v\f\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
"""What is trimmed."""
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?|Infinity)")
_OF_BASE = re.compile(r"0([xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)")
_BASES = {"x": 16, "o": 8, "b": 2}
_EXACT = 2**53
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    if isinstance(value, float) or (isinstance(value, int) and abs(value) > _EXACT):
        return _of_double(double(value))
    if isinstance(value, list | tuple):
        return ",".join("" if one is None else text(one) for one in value)
    if isinstance(value, dict):
        return "[object Object]"
    return str(value)


def double(value: float) -> float:
    """A number as JavaScript has it; one that is too large is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _of_double(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    mantissa, _, exponent = f"{value!r}".removeprefix("-").partition("e")
    whole, _, part = mantissa.partition(".")
    part = "" if part == "0" and not exponent else part
    digits = (whole + part).lstrip("0")
    # Where the point is, from the first digit.
    point = len(whole) + int(exponent or 0) - (len(whole + part) - len(digits))
    digits = digits.rstrip("0") or "0"
    if digits == "0":
        return "0"
    sign = "-" if value < 0 else ""
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    return f"{sign}{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{point - 1:+d}"


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
    stripped = value.strip(SPACE)
    if not stripped:
        return 0
    if _OF_BASE.fullmatch(stripped):
        return int(stripped[2:], _BASES[stripped[1].lower()])
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
        if is_number(value) or isinstance(value, bool):
            # Whole milliseconds alone; a float would lose some of them.
            return _EPOCH + timedelta(milliseconds=int(value))
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
