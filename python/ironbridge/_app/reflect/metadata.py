"""Metadata: what decorators say of an action, for interceptors and helpers to read while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from .decorators import StackableDecorator


@dataclass(frozen=True)
class TransactionMetadata:
    """One value.

    Attributes:
        value: the value.
        inherited_from_controller: whether the controller has it, not the method itself.
    """

    value: Any
    inherited_from_controller: bool


class SetMetadata(StackableDecorator):
    """Gives a controller, or one of its methods, a value under a key."""

    def __init__(self, key: str, value: Any) -> None:
        self.key, self.value = key, value


_EMPTY: Mapping[str, TransactionMetadata] = {}
_current: ContextVar[Mapping[str, TransactionMetadata]] = ContextVar("metadata", default=_EMPTY)


def get_metadata(key: str) -> TransactionMetadata | None:
    """The value under a key of what runs now, and where it is from; `None` when there is none."""
    return _current.get().get(key)


def get_metadata_value(key: str, default: Any = None) -> Any:
    """The value under a key of what runs now."""
    found = _current.get().get(key)
    return default if found is None else found.value


def get_all_metadata() -> Mapping[str, TransactionMetadata]:
    """All values of what runs now."""
    return _current.get()


@contextmanager
def start_transaction_metadata_context(metadata: Mapping[str, TransactionMetadata]) -> Iterator[None]:
    """Has these values alone, within."""
    token = _current.set(metadata)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def start_providing_metadata(**metadata: Any) -> Iterator[None]:
    """Has these values, too, within."""
    own = {key: TransactionMetadata(value, inherited_from_controller=False) for key, value in metadata.items()}
    with start_transaction_metadata_context({**_current.get(), **own}):
        yield
