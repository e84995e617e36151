"""Settings of the whole process: environment variables `JARARACA_…`, as the original names them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TypeVar

from ..errors import ConfigurationError

D = TypeVar("D")

_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def text(name: str) -> str | None:
    """What a variable says; `None` when it is empty or not there."""
    return os.environ.get(f"JARARACA_{name}") or None


def number(name: str, default: D, least: float = 0.0, most: float = math.inf) -> float | D:
    """The number that a variable is, or else the default.

    Raises:
        ConfigurationError: it is none, or out of bounds.
    """
    given = text(name)
    if given is None:
        return default
    try:
        found = float(given)
    except ValueError:
        raise _wrong(name, given, "a number") from None
    if not least <= found <= most:
        raise _wrong(name, given, f"at least {least:g}" + (f" and at most {most:g}" if most < math.inf else ""))
    return found


def whole(name: str, default: D, least: int = 0) -> int | D:
    """The same of a whole number."""
    found = number(name, None, least)
    if found is None:
        return default
    if not found.is_integer():
        raise _wrong(name, str(found), "a whole number")
    return int(found)


def flag(name: str, default: bool) -> bool:
    """Whether a variable says yes.

    Raises:
        ConfigurationError: it says neither yes nor no.
    """
    given = text(name)
    if given is None:
        return default
    if given.lower() not in (*_YES, *_NO):
        raise _wrong(name, given, f"one of {', '.join((*_YES, *_NO))}")
    return given.lower() in _YES


def choice(name: str, choices: Sequence[str]) -> str:
    """Which of these a variable names; the first when it is not there.

    Raises:
        ConfigurationError: none of them.
    """
    given = text(name)
    if given is not None and given not in choices:
        raise _wrong(name, given, f"one of {', '.join(choices)}")
    return given or choices[0]


def _wrong(name: str, said: str, wanted: str) -> ConfigurationError:
    return ConfigurationError(f"JARARACA_{name}={said!r}: it must be {wanted}")
