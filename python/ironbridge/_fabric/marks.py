"""`@action`: what is said of a method beside its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, overload

from .. import _signatures, service
from ..errors import ConfigurationError

F = TypeVar("F", bound=Callable[..., Any])

_ATTRIBUTE = "__ironbridge_fabric__"


class Options(NamedTuple):
    """What `@action` says.

    Attributes:
        redeliver: a call whose server went away is run again by the next one.
        idempotent: running a call twice does no harm: its caller sends it again after a lost connection.
    """

    redeliver: bool = True
    idempotent: bool = False


@overload
def action(function: F, /) -> F: ...
@overload
def action(*, name: str | None = None, redeliver: bool = True, idempotent: bool = False) -> Callable[[F], F]: ...
def action(
    function: F | None = None, /, *, name: str | None = None, redeliver: bool = True, idempotent: bool = False
) -> F | Callable[[F], F]:
    """Says more of a method that is served; every public method is served, marked or not.

    Args:
        name: what it is called by; its own name when not given.
        redeliver: `False`: a call whose server went away while it ran is not run by the next one, and fails at its
            caller as one of unknown outcome.
        idempotent: `True`: callers that know of it (by `rpc_proxy(api=…)`) send a call again when the connection was
            lost before its answer came.

    Raises:
        ConfigurationError: it is no function, or its name cannot be.
    """

    def marked(function: F) -> F:
        if idempotent and not redeliver:
            raise ConfigurationError("idempotent=True says that running twice does no harm: leave redeliver alone")
        service.mark(function, name)
        inner = getattr(function, "__func__", function)
        setattr(inner, _ATTRIBUTE, Options(redeliver, idempotent))
        return function

    return marked(function) if function is not None else marked


def options(function: object) -> Options:
    """What is said of a method."""
    inner = getattr(function, "__func__", function)
    found = getattr(inner, _ATTRIBUTE, None)
    return found if isinstance(found, Options) else Options()


def name_of(function: object, attribute: str) -> str:
    """What a method is called by."""
    mark = service.mark_of(function)
    return mark.names[0] if mark is not None and mark.names else attribute


class Method(NamedTuple):
    """A method of an object that is served."""

    name: str
    function: Callable[..., Any]
    redeliver: bool
    signature: str


def methods(api: object) -> list[Method]:
    """The public methods of an object, in order of their names: bound, inherited ones too.

    Raises:
        ConfigurationError: it is a class, it has none, or two of them have one name.
    """
    if isinstance(api, type):
        raise ConfigurationError(f"an object is served, not its class: rpc_register({api.__name__}())")
    found: dict[str, Method] = {}
    for attribute in sorted(dir(type(api))):
        function = None if attribute.startswith("_") else _method(api, attribute)
        if function is None:
            continue
        name = name_of(function, attribute)
        if name in found:
            raise ConfigurationError(f"two methods of {type(api).__qualname__} are called {name!r}")
        said = options(function)
        found[name] = Method(name, function, said.redeliver, _shown(name, function))
    if not found:
        raise ConfigurationError(f"{type(api).__qualname__} has no public method to serve")
    return [found[name] for name in sorted(found)]


def _method(api: object, attribute: str) -> Callable[..., Any] | None:
    """The bound method of this name, if it is one. Properties are not run to find out."""
    for owner in type(api).__mro__:
        if attribute in vars(owner):
            raw = vars(owner)[attribute]
            if isinstance(raw, (property, type)) or not (callable(raw) or isinstance(raw, (classmethod, staticmethod))):
                return None
            method = getattr(api, attribute)
            return method if callable(method) else None
    return None


def _shown(name: str, function: Callable[..., Any]) -> str:
    """A method with its parameters, for siblings to compare: `multiply(x, y=1)`."""
    parameters = _signatures.signature(function)["parameters"]
    if parameters is None:
        return f"{name}(...)"
    kinds = {"var_positional": "*", "var_keyword": "**"}
    shown = [
        kinds.get(one["kind"], "") + one["name"] + (f"={one['default']}" if "default" in one else "")
        for one in parameters
    ]
    return f"{name}({', '.join(shown)})".replace(";", ",")
