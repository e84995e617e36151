"""Rules for values without parts: texts, numbers, dates and what is like them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from .checking import Check, Place, Saying, Schema
from .javascript import MISSING, alike, date, double, is_number, number, same, text, within
from .texts import pattern_of

Make = Callable[[Schema, Saying, Any], Check]


def any_(schema: Schema, say: Saying, validator: Any) -> Check:
    """Anything."""
    return lambda value, place: value


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
        if not is_number(value) or not math.isfinite(double(value)):
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
    pattern, _ = pattern_of(own if own is not None else usual, None)

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
