"""The broker's own bus: events that stay in this process."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

Heard = Callable[..., Any]


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern means an event: `*` is one part of its name, `**` any number, `?` one character."""
    if pattern == name:
        return True
    if not any(sign in pattern for sign in "*?"):
        return False
    parts = re.split(r"(\*\*|\*|\?)", pattern)
    meaning = {"**": ".*", "*": r"[^.]*", "?": "."}
    return re.fullmatch("".join(meaning.get(part) or re.escape(part) for part in parts), name) is not None


class LocalBus:
    """Who listens to what, by patterns."""

    def __init__(self, logger: logging.Logger) -> None:
        self._heard: list[tuple[str, Heard]] = []
        self._logger = logger

    def on(self, pattern: str, handler: Heard) -> Callable[[], None]:
        """Calls `handler(payload, sender, event)` at each event; gives what ends it."""
        entry = (pattern, handler)
        self._heard.append(entry)

        def off() -> None:
            if entry in self._heard:
                self._heard.remove(entry)

        return off

    def tell(self, event: str, payload: Any, sender: str) -> list[Awaitable[Any]]:
        """Tells all who listen; gives what the asynchronous ones have begun."""
        begun = []
        for pattern, handler in list(self._heard):
            if not matches(pattern, event):
                continue
            try:
                value = handler(payload, sender, event)
            except Exception:
                self._logger.exception("a listener of %s has failed", event)
                continue
            if hasattr(value, "__await__"):
                begun.append(value)
        return begun
