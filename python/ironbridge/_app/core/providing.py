"""Tokens and provider specifications: what is provided, under which key, and how it comes to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ...errors import ConfigurationError

T = TypeVar("T")


class _Nothing:
    def __repr__(self) -> str:
        return "<nothing>"


NOTHING: Any = _Nothing()
"""Where a value may be anything, `None` included: that none was given."""


@dataclass(frozen=True)
class Token(Generic[T]):
    """A key of its own for a value of a type that others may have, too.

    `Token[Config]` without a name is a key as well: that of the type itself.

    Args:
        type_: the type of what is provided.
        name: what tells it apart.
    """

    type_: type[T]
    name: str

    @classmethod
    def create(cls, type_: type[T], name: str) -> Token[T]:
        """The same as the constructor."""
        return cls(type_, name)

    def __repr__(self) -> str:
        return f"Token({getattr(self.type_, '__name__', self.type_)}, {self.name!r})"


@dataclass(frozen=True)
class ProviderSpec:
    """How one dependency comes to be. Of several ways that are given, a value comes before a class, a class before a
    factory.

    Args:
        provide: the key: a type, a `Token`, or `Token[Type]`.
        use_value: the value itself; any value, `0`, `""` and `None` included.
        use_factory: called once, at start-up, with its parameters provided; may be `async def`.
        use_class: made once, at start-up, with its parameters provided.
        after_interceptors: provided only when the interceptors have begun, so that it may need what they provide.

    Raises:
        ConfigurationError: no way is given.
    """

    provide: Any
    use_value: Any = NOTHING
    use_factory: Callable[..., Any] | None = None
    use_class: type[Any] | None = None
    after_interceptors: bool = False

    def __post_init__(self) -> None:
        if self.use_value is NOTHING and self.use_factory is None and self.use_class is None:
            raise ConfigurationError(
                f"ProviderSpec of {key_name(self.provide)}: give use_value, use_class or use_factory"
            )


def key_name(key: Any) -> str:
    """A key as messages tell it."""
    if isinstance(key, Token):
        return repr(key)
    return getattr(key, "__qualname__", None) or str(key)


def is_named_type(key: Any) -> Any:
    """The type that `Token[Type]` means, or `NOTHING`."""
    origin = getattr(key, "__origin__", None)
    return key.__args__[0] if origin is Token else NOTHING
