"""Signatures, docstrings and the classes that signatures name, without the price of `inspect`.

A plain function says all in its code object; only rarer callables are left to `inspect`.
"""

from __future__ import annotations

import sys
from types import FunctionType, MethodType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_VARARGS, _VARKEYWORDS, _COROUTINE = 0x04, 0x08, 0x80
_PLAIN = (
    bool,
    bytearray,
    bytes,
    complex,
    dict,
    float,
    frozenset,
    int,
    list,
    object,
    set,
    str,
    tuple,
    type(None),
)


def is_coroutine(function: object) -> bool:
    """Whether calling it gives a coroutine (`async def`, also under `functools.partial`)."""
    while not isinstance(function, FunctionType):
        if isinstance(function, MethodType):
            function = function.__func__
        elif hasattr(function, "func"):
            function = function.func
        else:
            function = vars(type(function)).get("__call__")
            if not isinstance(function, FunctionType):
                return False
    return bool(function.__code__.co_flags & _COROUTINE)


def docstring(documented: object) -> str | None:
    """The docstring without its indentation, or None."""
    text = getattr(documented, "__doc__", None)
    if not isinstance(text, str) or not text.strip():
        return None
    first, *rest = text.expandtabs().split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in rest if line.strip()), default=0)
    return "\n".join([first.strip(), *(line[margin:].rstrip() for line in rest)]).strip()


def constructor(owner: type | None) -> list[dict[str, Any]]:
    """The parameters that a class is constructed with."""
    function = initialiser(owner)
    return [] if function is None else list(signature(function, skip_first=True)["parameters"] or ())


def initialiser(owner: type | None) -> Callable[..., Any] | None:
    """The function that takes a class's constructor arguments, if it has one of its own."""
    for base in owner.__mro__[:-1] if owner is not None else ():
        for name in ("__init__", "__new__"):
            function = vars(base).get(name)
            if function is not None:
                return getattr(function, "__func__", function)  # type: ignore[no-any-return]
    return None


def signature(function: Callable[..., Any], *, skip_first: bool = False) -> dict[str, Any]:
    """`{"parameters": [{"name", "kind", "default"?, "annotation"?}], "returns": …}`.

    Defaults are their `repr`; annotations are source text. `skip_first` leaves `self` out.
    """
    if isinstance(function, MethodType):
        function, skip_first = function.__func__, True
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    if not isinstance(function, FunctionType):
        return _inspected(function, skip_first)
    code, hints = function.__code__, function.__annotations__
    names = code.co_varnames
    positional, keyword_only = code.co_argcount, code.co_kwonlyargcount
    defaults = function.__defaults__ or ()
    parameters = []

    def add(name: str, kind: str, *default: object) -> None:
        entry: dict[str, Any] = {"name": name, "kind": kind}
        if default:
            entry["default"] = _shown(default[0])
        if name in hints:
            entry["annotation"] = _annotation(hints[name])
        parameters.append(entry)

    for index in range(positional):
        kind = "positional_only" if index < code.co_posonlyargcount else "positional_or_keyword"
        with_default = index - (positional - len(defaults))
        add(names[index], kind, *(defaults[with_default : with_default + 1] if with_default >= 0 else ()))
    after = positional + keyword_only
    if code.co_flags & _VARARGS:
        add(names[after], "var_positional")
        after += 1
    for name in names[positional : positional + keyword_only]:
        known = function.__kwdefaults__ or {}
        add(name, "keyword_only", *((known[name],) if name in known else ()))
    if code.co_flags & _VARKEYWORDS:
        add(names[after], "var_keyword")
    if skip_first and parameters and parameters[0]["kind"] != "var_positional":
        del parameters[0]
    returns = _annotation(hints["return"]) if "return" in hints else None
    return {"parameters": parameters, "returns": returns}


def _inspected(function: Callable[..., Any], skip_first: bool) -> dict[str, Any]:
    import inspect

    try:
        known = inspect.signature(function)
    except (TypeError, ValueError):
        return {"parameters": None, "returns": None}
    parameters = []
    for parameter in list(known.parameters.values())[1 if skip_first else 0 :]:
        entry: dict[str, Any] = {"name": parameter.name, "kind": parameter.kind.name.lower()}
        if parameter.default is not parameter.empty:
            entry["default"] = _shown(parameter.default)
        if parameter.annotation is not parameter.empty:
            entry["annotation"] = _annotation(parameter.annotation)
        parameters.append(entry)
    returns = known.return_annotation
    return {"parameters": parameters, "returns": None if returns is known.empty else _annotation(returns)}


def _shown(value: object) -> str:
    # Without addresses, so that the same service has the same schema in every process.
    text = repr(value)
    return text if " at 0x" not in text and len(text) <= 200 else f"<{type(value).__qualname__}>"


def _annotation(hint: object) -> str:
    if isinstance(hint, str):
        return hint
    if isinstance(hint, type) and not hasattr(hint, "__origin__"):
        if hint is type(None):
            return "None"
        return hint.__qualname__ if hint.__module__ == "builtins" else f"{hint.__module__}.{hint.__qualname__}"
    return _shown(hint).removeprefix("typing.")


def classes(annotated: Iterable[object]) -> dict[str, type]:
    """The dataclasses, enumerations and models that signatures name, by `module:qualname`.

    These, and what their own fields name, are all that may be rebuilt from a peer's bytes
    beside classes that are loaded already. `annotated` holds functions and classes.
    """
    found: dict[str, type] = {}
    waiting = list(annotated)
    seen: set[int] = set()
    while waiting:
        for hint in _hints(waiting.pop()):
            for kind in _named(hint):
                if id(kind) not in seen and _rebuildable(kind):
                    seen.add(id(kind))
                    found[f"{kind.__module__}:{kind.__qualname__}"] = kind
                    waiting += [kind, *kind.__mro__[1:-1]]
    return found


def _hints(annotated: object) -> list[object]:
    while hasattr(annotated, "__wrapped__"):
        annotated = annotated.__wrapped__
    annotated = getattr(annotated, "__func__", annotated)
    own = getattr(annotated, "__annotations__", None)
    if not isinstance(own, dict) or (
        all(hint in _PLAIN for hint in own.values() if isinstance(hint, type))
        and all(isinstance(hint, type) or hint is None for hint in own.values())
    ):
        return []
    namespace = getattr(annotated, "__globals__", None)
    if namespace is None:
        namespace = vars(sys.modules.get(getattr(annotated, "__module__", ""), sys))
    local = dict(vars(annotated)) if isinstance(annotated, type) else {}
    resolved: list[object] = []
    for hint in own.values():
        if isinstance(hint, str):
            try:
                # The user's own annotations, evaluated where they were written.
                hint = eval(hint, namespace, local)
            except Exception:
                continue  # a name that exists for type checkers only: nothing to rebuild by it
        resolved.append(hint)
    return resolved


def _named(hint: object) -> list[type]:
    """The classes inside an annotation: `dict[str, list[Point] | None]` names `Point`."""
    if isinstance(hint, (list, tuple)):
        return [kind for part in hint for kind in _named(part)]
    parts = getattr(hint, "__args__", None)
    inner = _named(parts) if isinstance(parts, tuple) else []
    forward = getattr(hint, "__forward_arg__", None)
    if forward is not None:
        return inner
    return [hint, *inner] if isinstance(hint, type) else inner


def _rebuildable(kind: type) -> bool:
    if hasattr(kind, "__dataclass_fields__") or hasattr(kind, "__pydantic_fields__"):
        return True
    enum = sys.modules.get("enum")
    return enum is not None and issubclass(kind, enum.Enum)
