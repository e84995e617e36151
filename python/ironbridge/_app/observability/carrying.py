"""What goes with a message that is published: the trace that it belongs to, where there is one."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

Carry = Callable[[str, dict[str, Any]], None]

carrying: ContextVar[Carry | None] = ContextVar("carrying", default=None)
"""Puts into a message's headers, by its topic, what its handler's trace goes on from."""


def carry(topic: str, headers: dict[str, Any]) -> None:
    """Adds to the headers of a message that is published now."""
    found = carrying.get()
    if found is not None:
        found(topic, headers)
