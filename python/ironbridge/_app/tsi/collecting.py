"""What controllers reach, declared: models, and those that they need."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...errors import ConfigurationError
from . import models
from .types import Types

_TAKEN = """
AnyWebSocketMessage Array Blob BodyInit Error FetchBackend FetchOptions FormData HttpBackend HttpBackendRequest HttpError
HttpService Key Keys Omit Promise ReadableStream Record RequestInit Response ResponseType Shape Shapes WebSocketMessageMap
WebSocketMessageWrapper
"""
"""What the file itself needs to be what it is."""


def declarations(types: Types, classes: Iterable[str]) -> list[str]:
    """All declarations, sorted by name.

    Args:
        types: what has been written so far, which says what is needed.
        classes: the names of the controllers' classes.

    Raises:
        ConfigurationError: two of them, or one and something else of the file, have one name.
    """
    # Once to find all that they need and the sides that it is on, which decide what is optional; then to write it.
    _reach(types)
    names = {kind.__name__ for kind in types.needed}
    types.file = "globalThis.File" if "File" in names else "File"
    found: dict[str, str] = {}
    for kind in list(types.needed):
        for name, text in models.declared(kind, types).items():
            if found.setdefault(name, text) != text:
                raise ConfigurationError(f"two types are called {name}, and differ: rename one")
    for name in sorted(found.keys() & {*_TAKEN.split(), *classes}):
        raise ConfigurationError(f"a type is called {name}, as something else of the TypeScript is: rename it")
    return [found[name] for name in sorted(found)]


def _reach(types: Types) -> None:
    before: dict[Any, set[bool]] = {}
    while before != types.needed:
        before = {kind: set(sides) for kind, sides in types.needed.items()}
        for kind in before:
            models.declared(kind, types)
