"""Headers that messages carry on: those of the message that is handled go with what is published meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_current: ContextVar[Mapping[str, Any]] = ContextVar("implicit_headers", default={})  # noqa: B039 - never changed


def use_implicit_headers() -> Mapping[str, Any]:
    """The headers that go with whatever is published now."""
    return _current.get()


@contextmanager
def provide_implicit_headers(headers: Mapping[str, Any], *, reset: bool = False) -> Iterator[None]:
    """Has these headers go with what is published within.

    Args:
        headers: the headers.
        reset: whether they take the place of all others.
    """
    token = _current.set(dict(headers) if reset else {**_current.get(), **headers})
    try:
        yield
    finally:
        _current.reset(token)
