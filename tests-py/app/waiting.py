"""Waiting for what other tasks do."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

PATIENCE = 20.0
"""Seconds."""
_LOOK = 0.01


async def until(seen: Callable[[], bool | Awaitable[bool]], what: str = "it") -> None:
    """Returns when `seen()` is true."""
    for _ in range(int(PATIENCE / _LOOK)):
        found = seen()
        if await found if inspect.isawaitable(found) else found:
            return
        await asyncio.sleep(_LOOK)
    raise AssertionError(f"{what} was not there within {PATIENCE} s")
