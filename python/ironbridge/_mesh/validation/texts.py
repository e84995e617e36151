"""The rule for texts: how they are changed, and what is asked of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .checking import Check, Place, Saying, Schema
from .javascript import MISSING, SPACE, length, text, within
from .patterns import compiled

_PATTERNS = {
    "numeric": ("stringNumeric", re.compile(r"-?[0-9]\d*(\.\d+)?", re.ASCII)),
    "alpha": ("stringAlpha", re.compile(r"[a-zA-Z]+")),
    "alphanum": ("stringAlphanum", re.compile(r"[a-zA-Z0-9]+")),
    "alphadash": ("stringAlphadash", re.compile(r"[a-zA-Z0-9_-]+")),
    "base64": (
        "stringBase64",
        re.compile(r"(?:[A-Za-z0-9+\\/]{4})*(?:[A-Za-z0-9+\\/]{2}==|[A-Za-z0-9+/]{3}=)?"),
    ),
}
_HEX = re.compile(r"[0-9a-fA-F]+")


def _changes(schema: Schema) -> list[Callable[[str], str]]:
    pad = text(schema.get("padChar", " "))
    steps: list[Callable[[str], str]] = []
    if schema.get("trim"):
        steps.append(lambda value: value.strip(SPACE))
    if schema.get("trimLeft"):
        steps.append(lambda value: value.lstrip(SPACE))
    if schema.get("trimRight"):
        steps.append(lambda value: value.rstrip(SPACE))
    if schema.get("padStart"):
        steps.append(lambda value: _padding(value, schema["padStart"], pad) + value)
    if schema.get("padEnd"):
        steps.append(lambda value: value + _padding(value, schema["padEnd"], pad))
    if schema.get("lowercase") or schema.get("localeLowercase"):
        steps.append(str.lower)
    if schema.get("uppercase") or schema.get("localeUppercase"):
        steps.append(str.upper)
    return steps


def _padding(value: str, width: Any, pad: str) -> str:
    left = int(width) - length(value)
    return (pad * left)[:left] if left > 0 and pad else ""


def string(schema: Schema, say: Saying, validator: Any) -> Check:
    """A text."""
    changes, tests = _changes(schema), _string_tests(schema, say)
    converts, empty = schema.get("convert") is True, schema.get("empty")

    def check(value: Any, place: Place) -> Any:
        if not isinstance(value, str):
            if not converts:
                say(place, "string", value)
                return value
            value = text(value)
        original = value
        for change in changes:
            value = change(value)
        if not value:
            if empty is False:
                say(place, "stringEmpty", value)
            elif empty is True:
                return value
        for test in tests:
            test(value, original, place)
        return value

    return check


def _string_tests(schema: Schema, say: Saying) -> list[Callable[[str, str, Place], None]]:
    tests: list[Callable[[str, str, Place], None]] = []

    def add(type: str, is_wrong: Callable[[str], bool], expected: Any, actual: Callable[[str, str], Any]) -> None:
        def test(value: str, original: str, place: Place) -> None:
            if is_wrong(value):
                say(place, type, actual(value, original), expected)

        tests.append(test)

    def its_length(value: str, original: str) -> Any:
        return length(value)

    def itself(value: str, original: str) -> Any:
        return original

    for name, type, compare in (
        ("min", "stringMin", lambda size, bound: size < bound),
        ("max", "stringMax", lambda size, bound: size > bound),
        ("length", "stringLength", lambda size, bound: size != bound),
    ):
        if schema.get(name) is not None:
            bound = schema[name]
            add(type, lambda value, c=compare, b=bound: c(length(value), b), bound, its_length)  # type: ignore[misc]
    if schema.get("pattern") is not None:
        pattern, shown = pattern_of(schema["pattern"], schema.get("patternFlags"))
        add("stringPattern", lambda value: pattern.search(value) is None, shown, itself)
    if schema.get("contains") is not None:
        wanted = text(schema["contains"])
        add("stringContains", lambda value: wanted not in value, wanted, itself)
    if schema.get("enum") is not None:
        values = list(schema["enum"])
        add("stringEnum", lambda value: not within(value, values), ", ".join(map(text, values)), itself)
    for name, (type, known) in _PATTERNS.items():
        if schema.get(name) is True and name != "base64":
            add(type, lambda value, k=known: k.fullmatch(value) is None, MISSING, itself)  # type: ignore[misc]
    if schema.get("hex") is True:
        add("stringHex", lambda value: len(value) % 2 != 0 or _HEX.fullmatch(value) is None, MISSING, itself)
    if schema.get("singleLine") is True:
        add("stringSingleLine", lambda value: "\n" in value, MISSING, lambda value, original: MISSING)
    if schema.get("base64") is True:
        add("stringBase64", lambda value: _PATTERNS["base64"][1].fullmatch(value) is None, MISSING, itself)
    return tests


def pattern_of(pattern: Any, flags: str | None) -> tuple[re.Pattern[str], str]:
    """A pattern, and how JavaScript shows it: a text is JavaScript's, a compiled one means what Python says.

    Raises:
        ServiceSchemaError: it cannot be used.
    """
    if isinstance(pattern, re.Pattern):
        return pattern, f"/{pattern.pattern}/{'i' if pattern.flags & re.IGNORECASE else ''}"
    return compiled(text(pattern), flags)
