"""Tags of spans: what is taken of a call, and how it is written for those who read it."""

from __future__ import annotations

import inspect
import json
import math
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

_DEEPEST = 8
_LONGEST = 1_000
"""Members of one list or dict that are told of."""


def picked(wanted: Any, value: Any) -> Any:
    """What a tag shows of a value: all of it for `True`, or the named members alone."""
    if wanted is True:
        return dict(value) if isinstance(value, Mapping) else value
    if isinstance(value, Mapping):
        return {name: value[name] for name in wanted if name in value}
    return {}


def is_wanted(wanted: Any) -> bool:
    """Whether a tag asks for anything: `True`, or names of members."""
    return wanted is True or isinstance(wanted, list | tuple)


def of_function(function: Any, ctx: Any, *response: Any) -> dict[str, Any]:
    """What the user's function makes of a call: of `(ctx)`, and of `(ctx, response)` when it has room for that."""
    arguments = (ctx, *response)
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return {}
    return dict(function(*arguments) or {})


def plain(value: Any, depth: int = 0) -> Any:
    """A value as JSON has it, however it is made: what JSON has not is told by its `repr`, loops are cut."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        items = list(value.items())[:_LONGEST]
        return {str(name): plain(item, depth + 1) for name, item in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, depth + 1) for item in list(value)[:_LONGEST]]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    try:
        return repr(value)
    except Exception:  # a broken __repr__ must not hide the rest
        return f"<{type(value).__name__}>"


def flat(tags: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Nested tags as one level: `{"action": {"name": …}}` as `{"action.name": …}`. Lists become JSON."""
    found: dict[str, Any] = {}
    for name, value in tags.items():
        place = f"{path}.{name}" if path else name
        if isinstance(value, Mapping):
            found.update(flat(value, place))
        elif isinstance(value, list):
            found[place] = json.dumps(value)
        elif value is not None:
            found[place] = value
    return found


def as_text(tags: Mapping[str, Any]) -> dict[str, str]:
    """Flat tags as text, as JavaScript writes it."""
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in flat(tags).items()}


def of_error(error: Any, fields: Sequence[str]) -> dict[str, Any] | None:
    """What is told of an error: those of the fields that it has. `None` when there was none."""
    if error is None:
        return None
    if not isinstance(error, BaseException):
        return {"message": str(error)}
    known = {
        "name": getattr(error, "name", None) or type(error).__name__,
        "message": getattr(error, "message", None) or str(error),
    }
    if "stack" in fields:
        known["stack"] = "".join(traceback.format_exception(error))
    told = {name: known.get(name, getattr(error, name, None)) for name in fields}
    return {name: plain(value) for name, value in told.items() if value is not None}
