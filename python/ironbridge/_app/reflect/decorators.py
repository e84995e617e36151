"""Decorators that stack: each leaves itself on the class or function, which stays as it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Self, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

ATTRIBUTE = "__ironbridge_decorators__"


class StackableDecorator:
    """A decorator that is an object with what it was given; derive from it."""

    def __call__(self, subject: F) -> F:
        """Leaves this decorator on a class or a function."""
        self.decorated(subject)
        own: list[StackableDecorator] = list(_own(subject))
        own.append(self)
        setattr(subject, ATTRIBUTE, own)
        return subject

    def decorated(self, subject: Any) -> None:
        """Called before it is left on `subject`; may refuse it by raising."""

    @classmethod
    def get(cls, subject: Any) -> list[Self]:
        """All of this kind on a class or function, the innermost (which stands lowest) first."""
        return [one for one in _own(subject) if isinstance(one, cls)]

    @classmethod
    def get_first(cls, subject: Any) -> Self | None:
        """The innermost of this kind."""
        found = cls.get(subject)
        return found[0] if found else None

    get_fisrt = get_first  # as the original spells it

    @classmethod
    def get_last(cls, subject: Any) -> Self | None:
        """The outermost of this kind."""
        found = cls.get(subject)
        return found[-1] if found else None

    @classmethod
    def get_all_from_type(cls, type_: type[Any], inherit: bool = True) -> list[Self]:
        """All of this kind on a class and, unless told otherwise, on those that it derives from: theirs first."""
        bases = reversed(type_.__mro__) if inherit else (type_,)
        return [one for base in bases for one in cls.get(base)]

    @classmethod
    def get_all_from_method(cls, type_: type[Any], name: str, inherit: bool = True) -> list[Self]:
        """All of this kind on a method and, unless told otherwise, on those that it overrides: theirs first."""
        bases = reversed(type_.__mro__) if inherit else (type_,)
        return [one for base in bases if name in base.__dict__ for one in cls.get(base.__dict__[name])]

    @classmethod
    def get_bound_from_type(cls, type_: type[Any], inherit: bool = True, last: bool = False) -> Self | None:
        """The first of this kind on a class, or the last."""
        found = cls.get_all_from_type(type_, inherit)
        return found[-1 if last else 0] if found else None

    @classmethod
    def get_bound_from_method(cls, type_: type[Any], name: str, inherit: bool = True, last: bool = True) -> Self | None:
        """The last of this kind on a method, or the first."""
        found = cls.get_all_from_method(type_, name, inherit)
        return found[-1 if last else 0] if found else None


def _own(subject: Any) -> list[StackableDecorator]:
    # A class's own alone: attributes of those that it derives from are theirs.
    found: list[StackableDecorator] = getattr(subject, "__dict__", {}).get(ATTRIBUTE, [])
    return found


def members(type_: type[Any]) -> list[tuple[str, Callable[..., Any]]]:
    """The functions of a class and of those that it derives from, in the order in which they are written."""
    found: dict[str, Callable[..., Any]] = {}
    for base in reversed(type_.__mro__):
        for name, value in base.__dict__.items():
            if inspect.isfunction(value) and not name.startswith("__"):
                found.pop(name, None)
                found[name] = value
    return list(found.items())
