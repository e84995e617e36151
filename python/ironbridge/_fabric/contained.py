"""A handler that ends the program ends itself alone."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Exited(Exception):
    """A handler has called `sys.exit()`. Its cause is what that raised."""


async def contained(coroutine: Coroutine[Any, Any, T]) -> T:
    """Awaits a coroutine. asyncio would end the loop for a SystemExit; Ctrl+C it ends as ever."""
    try:
        return await coroutine
    except SystemExit as error:
        raise Exited(*error.args) from error
