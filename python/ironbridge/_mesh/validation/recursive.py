"""Rules that are within themselves, as those of trees are."""

from __future__ import annotations

import inspect
from typing import Any

from .checking import Check, Place


class Link:
    """A rule that is being compiled, where it is met again.

    Attributes:
        label: its name for people.
        check: what it has become, once it is compiled.
    """

    check: Check

    def __init__(self, label: str | None) -> None:
        self.label = label

    async def again(self, value: Any, place: Place) -> Any:
        """Checks a value that is within another; not again one that is within itself."""
        around = place.around
        if any(rule is self and other is value for rule, other in around):
            return value
        around.append((self, value))
        try:
            after = self.check(value, place)
            return await after if inspect.isawaitable(after) else after
        finally:
            around.pop()
