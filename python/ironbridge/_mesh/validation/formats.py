"""Rules for texts of known forms: addresses, numbers of cards, ids."""

from __future__ import annotations

import re
from typing import Any

from .checking import Check, Place, Saying, Schema
from .javascript import MISSING, SPACE, length, number
from .patterns import compiled

_BASIC, _ = compiled(r"^\S+@\S+\.\S+$")
_PRECISE, _ = compiled(
    r"^(([^<>()\[\]\\.,;:\s@\"]+(\.[^<>()\[\]\\.,;:\s@\"]+)*)|(\".+\"))"
    r"@((\[[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\])|(([a-zA-Z\-0-9]+\.)+[a-zA-Z]{2,}))$"
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
            value = value.strip(SPACE).lower()
        if least is not None and length(value) < least:
            say(place, "emailMin", length(value), least)
        if most is not None and length(value) > most:
            say(place, "emailMax", length(value), most)
        if pattern.search(value) is None:
            say(place, "email", value)
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


_URL, _ = compiled(r"^https?://\S+")


def url(schema: Schema, say: Saying, validator: Any) -> Check:
    """A web address."""

    def check(value: Any, place: Place) -> Any:
        if not isinstance(value, str):
            say(place, "string", value)
        elif not value:
            if not schema.get("empty"):
                say(place, "urlEmpty", value)
        elif _URL.search(value) is None:
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
