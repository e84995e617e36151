"""What is said of parameters, in short, to be compared with what fastest-validator 1.19.1 said of the same."""

from __future__ import annotations

import asyncio
from typing import Any

Errors = list[tuple[Any, ...]]


def said(errors: Any) -> Errors:
    """The type, field and actual value of each."""
    return [(one["type"], one.get("field"), one.get("actual", "-")) for one in errors or []]


async def taken(value: Any, errors: list[Any], *_: Any) -> Any:
    """A check that waits: a word is taken, all others are written large."""
    await asyncio.sleep(0)
    if value == "taken":
        errors.append({"type": "taken", "message": "'{field}' is taken", "actual": value})
    return value.upper() if isinstance(value, str) else value
