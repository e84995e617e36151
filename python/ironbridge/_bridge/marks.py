"""The bridge's decorators: `@endpoint`, `@function`, and `@any_other_name`."""

from __future__ import annotations

from ..errors import ConfigurationError
from ..service import mark

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn, overload

    from ..service import F


if TYPE_CHECKING:

    @overload
    def endpoint(target: F) -> F: ...
    @overload
    def endpoint(target: str | None = None, *, name: str | None = None) -> Callable[[F], F]: ...


def endpoint(target: Any = None, *, name: str | None = None) -> Any:
    """Makes a function an endpoint: `@endpoint`, `@endpoint("x")` or `@endpoint(name="x")`.

    Without a name it answers to the function's own. A method also answers to its own name where no
    other endpoint claims it.

    Raises:
        ConfigurationError: what is decorated is no function, or the name cannot be an endpoint's.
    """
    if target is None or isinstance(target, str):
        chosen = name if target is None else target
        return lambda function: mark(function, chosen)
    return mark(target, name)


if TYPE_CHECKING:

    @overload
    def function(target: F) -> F: ...
    @overload
    def function(target: None = None) -> Callable[[F], F]: ...


def function(target: Any = None) -> Any:
    """Makes a function an endpoint of its own name: `@function`.

    Raises:
        ConfigurationError: what is decorated is no function.
    """
    if target is None:
        return mark
    if isinstance(target, str):
        raise ConfigurationError(
            f"@function takes the function's own name; for another one write @endpoint({target!r})"
        )
    return mark(target)


class Decorator:
    """What a name that the module does not define gives: a decorator for endpoints of that name."""

    __slots__ = ("_name", "_real")

    def __init__(self, name: str, real: Sequence[str]) -> None:
        self._name = name
        self._real = real

    def __call__(self, function: F) -> F:
        inner = getattr(function, "__func__", function)
        if not callable(inner) or isinstance(inner, type):
            _refuse(self._name, self._real)
        likely = _nearest(self._name, ("endpoint", "function"))
        if likely and getattr(inner, "__name__", None) != self._name:
            raise ConfigurationError(
                f"@{self._name}: did you mean @{likely}? For an endpoint of that name write @endpoint({self._name!r})"
            )
        return mark(function, self._name)

    def __repr__(self) -> str:
        return f"<decorator of endpoints named {self._name!r}>"

    def __getattr__(self, attribute: str) -> NoReturn:
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        raise AttributeError(_told(self._name, self._real))


def unknown(name: str, real: Sequence[str]) -> Decorator:
    """The decorator of that name, unless it can only be a class's name misspelled.

    Raises:
        AttributeError: `name` looks like a class's and is close to one there is.
    """
    if name[:1].isupper() and _nearest(name, real):
        raise AttributeError(_told(name, real))
    return Decorator(name, real)


def _refuse(name: str, real: Sequence[str]) -> NoReturn:
    raise AttributeError(_told(name, real))


def _told(name: str, real: Sequence[str]) -> str:
    near = _nearest(name, real)
    hint = f"did you mean {near!r}?" if near else f"@{name} before a function makes it an endpoint of that name"
    return f"ironbridge.bridge has no {name!r}; {hint}"


def _nearest(name: str, real: Sequence[str]) -> str | None:
    import difflib

    near = difflib.get_close_matches(name, real, n=1, cutoff=0.8)
    return near[0] if near else None
