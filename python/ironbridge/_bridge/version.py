"""Which version of a class this process has: the same for the same code, wherever it was loaded.

A daemon may outlive the program that started it. Whoever comes later with an edited class must be told, not
served by the code of before.
"""

from __future__ import annotations

import sys
from types import CodeType, FunctionType, MethodType

from .. import _engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

_CONSTANTS = (bool, bytes, complex, float, int, str, type(None))


def of(owner: type | None, functions: Mapping[str, Callable[..., Any]]) -> str:
    """The version of what a service runs; only versions of one kind of interpreter can be compared."""
    return f"{_kind()}:{fingerprint([*([owner] if owner else ()), *functions.values()])}"


def differ(one: str, other: str) -> bool:
    """Whether the code is known to differ: bytecode of another release of Python tells nothing."""
    return one.partition(":")[0] == other.partition(":")[0] and one != other


def fingerprint(things: Iterable[Any]) -> str:
    """The same for classes and functions of the same code, in whatever process they were compiled.

    A class is its functions, and those of its bases in the same module. What its other attributes hold may be
    computed anew in each process, so it does not count.
    """
    parts: list[str] = []
    seen: set[int] = set()
    for thing in things:
        for name, member in _members(thing):
            _add(name, member, parts, seen)
    return _engine.digest("\n".join(parts).encode("utf-8", "surrogatepass"))


def _kind() -> str:
    # Without its asserts and docstrings, the same source is other code.
    return f"{sys.implementation.cache_tag}-{sys.flags.optimize}"


def _members(thing: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(thing, type):
        yield "", thing
        return
    for base in thing.__mro__:
        if base.__module__ == thing.__module__:
            # Sorted, since a class that has travelled by value has lost their order.
            yield from sorted(vars(base).items(), key=lambda item: item[0])


def _add(name: str, member: Any, parts: list[str], seen: set[int]) -> None:
    """A function's code and constant defaults, and those of the functions that it wraps."""
    if id(member) in seen:
        return
    seen.add(id(member))
    if isinstance(member, FunctionType):
        parts.append(name)
        _add_code(member.__code__, parts)
        for default in (*(member.__defaults__ or ()), *(member.__kwdefaults__ or {}).values()):
            parts.append(repr(default) if isinstance(default, _CONSTANTS) else type(default).__qualname__)
    for inner in _inside(member):
        _add(name, inner, parts, seen)


def _inside(member: Any) -> Iterator[Any]:
    """What else is behind a decorated function, a property, a bound method."""
    if isinstance(member, (staticmethod, classmethod, MethodType)):
        yield member.__func__
    elif isinstance(member, property):
        yield from (member.fget, member.fset, member.fdel)
    elif not isinstance(member, type):
        known = getattr(member, "__dict__", None)
        if isinstance(known, dict):
            yield from (known.get("__wrapped__"), known.get("func"))
    for cell in member.__closure__ or () if isinstance(member, FunctionType) else ():
        try:
            content = cell.cell_contents
        except ValueError:
            continue  # not filled yet
        if isinstance(content, (FunctionType, MethodType)):
            yield content


def _add_code(code: CodeType, parts: list[str]) -> None:
    parts += (code.co_code.hex(), repr((code.co_names, code.co_varnames, code.co_freevars)))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _add_code(constant, parts)
        else:
            parts.append(_constant(constant))


def _constant(constant: object) -> str:
    # Sets have an order of their own in each process.
    if isinstance(constant, frozenset):
        return repr(sorted(map(repr, constant)))
    return repr(constant)
