"""Python's names in TypeScript."""

from __future__ import annotations

import json
import re

_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")

_RESERVED = """
arguments await break case catch class const continue debugger default delete do else enum eval export extends false
finally for function if implements import in instanceof interface let new null package private protected public response
return static super switch this throw true try typeof undefined var void while with yield
"""
"""What no parameter can be called, in strict code, or beside what methods have themselves."""


def camel(name: str) -> str:
    """`user_name` as `userName`. Underscores before it stay, and names in capitals: `_id`, `MESSAGE_ID`."""
    if name.isupper():
        return name
    bare = name.lstrip("_")
    first, *rest = bare.split("_")
    return name[: len(name) - len(bare)] + first + "".join(part[:1].upper() + part[1:] for part in rest)


def client_method(name: str) -> str:
    """The name of a client's method: as `camel`, unless the client's class has one of that name itself."""
    found = camel(name)
    return f"{found}_" if found in ("constructor", "httpBackend") else found


def quoted(text: str) -> str:
    """A text, as a literal."""
    return json.dumps(text, ensure_ascii=False)


def key(name: str) -> str:
    """The name of a property, as it is declared."""
    return name if _IDENTIFIER.fullmatch(name) else quoted(name)


def member(name: str, may_be_missing: bool = False) -> str:
    """How a property is read, after the expression that has it."""
    if _IDENTIFIER.fullmatch(name):
        return f"?.{name}" if may_be_missing else f".{name}"
    return f"?.[{quoted(name)}]" if may_be_missing else f"[{quoted(name)}]"


def variable(name: str) -> str:
    """The name of a parameter: as it is in Python, unless TypeScript has no such names."""
    return f"{name}_" if name in _RESERVED.split() else name
