"""Rules for values without parts: texts, numbers, dates and what is like them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from .checking import Check, Place, Saying, Schema
from .javascript import MISSING, alike, date, is_number, length, number, same, text, within

Make = Callable[[Schema, Saying, Any], Check]
Step = Callable[[str, Any, Place], str]

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
_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}
_SPACE = " \t\n\r\v\f\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"


def any_(schema: Schema, say: Saying, validator: Any) -> Check:
    """Anything."""
    return lambda value, place: value


def _changes(schema: Schema) -> list[Callable[[str], str]]:
    pad = text(schema.get("padChar", " "))
    steps: list[Callable[[str], str]] = []
    if schema.get("trim"):
        steps.append(lambda value: value.strip(_SPACE))
    if schema.get("trimLeft"):
        steps.append(lambda value: value.lstrip(_SPACE))
    if schema.get("trimRight"):
        steps.append(lambda value: value.rstrip(_SPACE))
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
        pattern, shown = compiled(schema["pattern"], schema.get("patternFlags"))
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


def compiled(pattern: Any, flags: str | None) -> tuple[re.Pattern[str], str]:
    """A pattern, and how JavaScript shows it."""
    if isinstance(pattern, re.Pattern):
        return pattern, f"/{pattern.pattern}/{'i' if pattern.flags & re.IGNORECASE else ''}"
    found = 0
    for flag in flags or "":
        found |= _FLAGS.get(flag, 0)
    return re.compile(pattern, found), f"/{pattern}/{flags or ''}"


def number_(schema: Schema, say: Saying, validator: Any) -> Check:
    """A number."""
    converts = schema.get("convert") is True
    tests: list[tuple[str, Any, Callable[[float], bool]]] = []
    if (least := schema.get("min")) is not None:
        tests.append(("numberMin", least, lambda value: value < least))
    if (most := schema.get("max")) is not None:
        tests.append(("numberMax", most, lambda value: value > most))
    if (equal := schema.get("equal")) is not None:
        tests.append(("numberEqual", equal, lambda value: not same(value, equal)))
    if (other := schema.get("notEqual")) is not None:
        tests.append(("numberNotEqual", other, lambda value: same(value, other)))
    if schema.get("integer") is True:
        tests.append(("numberInteger", MISSING, lambda value: value % 1 != 0))
    if schema.get("positive") is True:
        tests.append(("numberPositive", MISSING, lambda value: value <= 0))
    if schema.get("negative") is True:
        tests.append(("numberNegative", MISSING, lambda value: value >= 0))

    def check(value: Any, place: Place) -> Any:
        original = value
        if converts and not is_number(value):
            value = number(value)
        if not is_number(value) or not math.isfinite(value):
            say(place, "number", original)
            return value
        for type, expected, is_wrong in tests:
            if is_wrong(value):
                say(place, type, original, expected)
        return value

    return check


_TRUE, _FALSE = ("true", "1", "on"), ("false", "0", "off")


def boolean(schema: Schema, say: Saying, validator: Any) -> Check:
    """Yes or no."""
    converts = schema.get("convert") is True

    def check(value: Any, place: Place) -> Any:
        original = value
        if converts and not isinstance(value, bool):
            if value in _TRUE or (is_number(value) and value == 1):
                value = True
            elif value in _FALSE or (is_number(value) and value == 0):
                value = False
        if not isinstance(value, bool):
            say(place, "boolean", original)
        return value

    return check


def class_(schema: Schema, say: Saying, validator: Any) -> Check:
    """An instance of a class."""
    kind = schema["instanceOf"]
    name = getattr(kind, "__name__", "<UnknowClass>")

    def check(value: Any, place: Place) -> Any:
        if not isinstance(value, kind):
            say(place, "classInstanceOf", value, name)
        return value

    return check


def currency(schema: Schema, say: Saying, validator: Any) -> Check:
    """An amount of money, as a text."""
    symbol = schema.get("currencySymbol")
    sign = f"{re.escape(symbol)}{'?' if schema.get('symbolOptional') else ''}" if symbol else ""
    thousands = schema.get("thousandSeparator") or ","
    decimals = re.escape(schema.get("decimalSeparator") or ".")
    own = schema.get("customRegex")
    usual = rf"(?=.*\d)^(-?{sign}|{sign}-?)(([0-9]\d{{0,2}}({thousands}\d{{3}})*)|0)?({decimals}\d{{1,2}})?$"
    pattern, _ = compiled(own if own is not None else usual, None)

    def check(value: Any, place: Place) -> Any:
        if not isinstance(value, str) or pattern.search(value) is None:
            say(place, "currency", value)
        return value

    return check


def date_(schema: Schema, say: Saying, validator: Any) -> Check:
    """A time."""
    converts = schema.get("convert") is True

    def check(value: Any, place: Place) -> Any:
        found = date(value) if converts else value
        if not isinstance(found, datetime):
            say(place, "date", value)
            return value
        return found

    return check


_BASIC = re.compile(r"\S+@\S+\.\S+")
_PRECISE = re.compile(
    r"(([^<>()\[\]\\.,;:\s@\"]+(\.[^<>()\[\]\\.,;:\s@\"]+)*)|(\".+\"))"
    r"@((\[[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\])|(([a-zA-Z\-0-9]+\.)+[a-zA-Z]{2,}))"
)


def email(schema: Schema, say: Saying, validator: Any) -> Check:
    """An address."""
    pattern = _PRECISE if schema.get("mode") == "precise" else _BASIC
    least, most = schema.get("min"), schema.get("max")

    def check(value: Any, place: Place) -> Any:
        if not isinstance(value, str):
            say(place, "string", value)
            return value
        if not value:
            if not schema.get("empty"):
                say(place, "emailEmpty", value)
            return value
        if schema.get("normalize"):
            value = value.strip(_SPACE).lower()
        if least is not None and length(value) < least:
            say(place, "emailMin", length(value), least)
        if most is not None and length(value) > most:
            say(place, "emailMax", length(value), most)
        if pattern.fullmatch(value) is None:
            say(place, "email", value)
        return value

    return check


def enum(schema: Schema, say: Saying, validator: Any) -> Check:
    """One of some values."""
    values = list(schema.get("values") or [])
    shown = ", ".join(map(text, values))

    def check(value: Any, place: Place) -> Any:
        if not within(value, values):
            say(place, "enumValue", value, shown)
        return value

    return check


def equal(schema: Schema, say: Saying, validator: Any) -> Check:
    """The same as a value, or as another field."""
    equals = same if schema.get("strict") else alike

    def check(value: Any, place: Place) -> Any:
        if schema.get("field"):
            if not equals(value, place.parent.get(schema["field"], MISSING)):
                say(place, "equalField", value, schema["field"])
        elif not equals(value, schema.get("value")):
            say(place, "equalValue", value, schema.get("value"))
        return value

    return check


def forbidden(schema: Schema, say: Saying, validator: Any) -> Check:
    """Nothing: it may not be there."""

    def check(value: Any, place: Place) -> Any:
        if schema.get("remove"):
            return MISSING
        say(place, "forbidden", value)
        return value

    return check


def function(schema: Schema, say: Saying, validator: Any) -> Check:
    """What can be called."""

    def check(value: Any, place: Place) -> Any:
        if not callable(value):
            say(place, "function", value)
        return value

    return check


_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def luhn(schema: Schema, say: Saying, validator: Any) -> Check:
    """A number with a check digit, as cards have them."""

    def check(value: Any, place: Place) -> Any:
        if not isinstance(value, str):
            say(place, "string", value)
            return value
        digits = [int(sign) for sign in value if sign in "0123456789"]
        total = sum(_DOUBLED[digit] if index % 2 else digit for index, digit in enumerate(reversed(digits)))
        if total % 10 or not total:
            say(place, "luhn", value)
        return value

    return check


_MAC = re.compile(
    r"((([a-f0-9][a-f0-9]+[-]){5}|([a-f0-9][a-f0-9]+[:]){5})([a-f0-9][a-f0-9]))"
    r"|(([a-f0-9][a-f0-9][a-f0-9][a-f0-9]+[.]){2}([a-f0-9][a-f0-9][a-f0-9][a-f0-9]))"
)


def mac(schema: Schema, say: Saying, validator: Any) -> Check:
    """A network card's address."""

    def check(value: Any, place: Place) -> Any:
        if not isinstance(value, str):
            say(place, "string", value)
        elif _MAC.fullmatch(value.lower()) is None:
            say(place, "mac", value)
        return value

    return check


def object_id(schema: Schema, say: Saying, validator: Any) -> Check:
    """MongoDB's id: `ObjectID` is its class, as `bson` has it."""
    kind, converts = schema["ObjectID"], schema.get("convert")
    is_valid = getattr(kind, "is_valid", None) or kind.isValid

    def check(value: Any, place: Place) -> Any:
        if not is_valid(value):
            say(place, "objectID", value)
            return MISSING
        return kind(value) if converts is True else str(value) if converts == "hexString" else value

    return check


_URL = re.compile(r"https?://\S+")


def url(schema: Schema, say: Saying, validator: Any) -> Check:
    """A web address."""

    def check(value: Any, place: Place) -> Any:
        if not isinstance(value, str):
            say(place, "string", value)
        elif not value:
            if not schema.get("empty"):
                say(place, "urlEmpty", value)
        elif _URL.match(value) is None:
            say(place, "url", value)
        return value

    return check


_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|0{8}-0{4}-0{4}-0{4}-0{12}")


def uuid(schema: Schema, say: Saying, validator: Any) -> Check:
    """A UUID, perhaps of a version."""
    wanted = number(schema["version"]) if schema.get("version") is not None else MISSING

    def check(value: Any, place: Place) -> Any:
        if not isinstance(value, str):
            say(place, "string", value)
            return value
        low = value.lower()
        if _UUID.fullmatch(low) is None:
            say(place, "uuid", value)
            return value
        version = int(low[14])
        if wanted is not MISSING and wanted < 9 and wanted != version:
            say(place, "uuidVersion", version, schema["version"])
            return value
        if version in (3, 4, 5, 7, 8) and low[19] not in "89ab":
            say(place, "uuid", value)
        return value

    return check
