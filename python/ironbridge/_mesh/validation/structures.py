"""Rules for values with parts: objects, arrays, tuples, records, and alternatives."""

from __future__ import annotations

import re
from inspect import iscoroutinefunction
from typing import Any

from ..errors import ServiceSchemaError
from .checking import Check, Errors, Place, Saying, Schema, named
from .javascript import MISSING, same, text, within

_IDENTIFIER = re.compile(r"[_$a-zA-Z][_$a-zA-Z0-9]*")


def object_(schema: Schema, say: Saying, validator: Any) -> Check:
    """An object, and what is in it."""
    given = schema.get("properties") or schema.get("props")
    inner = named(given) if given else None
    parts: list[tuple[str, str, Check, bool, str | None]] = []
    for name, rule in (inner or {}).items():
        if not name.startswith("$$"):
            shown = f".{name}" if _IDENTIFIER.fullmatch(name) else f"['{name}']"
            part, label = validator.part(rule)
            parts.append((name, shown, part, iscoroutinefunction(part), label))
    strict, allowed = schema.get("strict"), list(inner or {})
    least, most = schema.get("minProps"), schema.get("maxProps")
    halts = validator.halts

    def check(value: Any, place: Place) -> Any:
        if not isinstance(value, dict):
            say(place, "object", value)
            return value
        for name, shown, part, _, label in parts:
            before = value.get(name, MISSING)
            after = part(before, place.at(f"{place.field}{shown}" if place.field else name, value, label))
            if after is not before:
                put(value, name, after)
            if halts and place.errors:
                return value
        return whole(value, place)

    async def check_waiting(value: Any, place: Place) -> Any:
        if not isinstance(value, dict):
            say(place, "object", value)
            return value
        for name, shown, part, waits, label in parts:
            before = value.get(name, MISSING)
            after = part(before, place.at(f"{place.field}{shown}" if place.field else name, value, label))
            after = await after if waits else after
            if after is not before:
                put(value, name, after)
            if halts and place.errors:
                return value
        return whole(value, place)

    def put(value: Any, name: str, after: Any) -> None:
        if after is MISSING:
            value.pop(name, None)
        else:
            value[name] = after

    def whole(value: Any, place: Place) -> Any:
        if strict and inner is not None:
            unknown = [key for key in value if key not in allowed]
            if unknown and strict == "remove":
                if not place.errors:
                    for key in unknown:
                        del value[key]
            elif unknown:
                say(place, "objectStrict", ", ".join(map(text, unknown)), ", ".join(allowed))
        if least is not None and len(value) < least:
            say(place, "objectMinProps", len(value), least)
        if most is not None and len(value) > most:
            say(place, "objectMaxProps", len(value), most)
        return value

    return check_waiting if any(waits for _, _, _, waits, _ in parts) else check


def array(schema: Schema, say: Saying, validator: Any) -> Check:
    """A list, and what is in it."""
    item = validator.part(schema["items"])[0] if schema.get("items") is not None else None
    least, most, exact = schema.get("min"), schema.get("max"), schema.get("length")
    values: Any = schema.get("enum")

    def check(value: Any, place: Place) -> Any:
        value = whole(value, place)
        if item is not None and isinstance(value, list):
            for index, one in enumerate(value):
                value[index] = item(one, place.part(f"[{index}]", place.parent))
        return value

    async def check_waiting(value: Any, place: Place) -> Any:
        value = whole(value, place)
        if item is not None and isinstance(value, list):
            for index, one in enumerate(value):
                value[index] = await item(one, place.part(f"[{index}]", place.parent))
        return value

    def whole(value: Any, place: Place) -> Any:
        if schema.get("convert") is True and not isinstance(value, list):
            value = [value]
        if not isinstance(value, list):
            say(place, "array", value)
            return value
        size = len(value)
        if schema.get("empty") is False and not size:
            say(place, "arrayEmpty", value)
        if least is not None and size < least:
            say(place, "arrayMin", size, least)
        if most is not None and size > most:
            say(place, "arrayMax", size, most)
        if exact is not None and size != exact:
            say(place, "arrayLength", size, exact)
        if schema.get("contains") is not None and not within(schema["contains"], value):
            say(place, "arrayContains", value, schema["contains"])
        if schema.get("unique") is True and (doubled := _doubled(value)):
            say(place, "arrayUnique", value, doubled)
        for one in value if values is not None else ():
            if not within(one, values):
                say(place, "arrayEnum", one, ", ".join(map(text, values)))
        return value

    return check_waiting if iscoroutinefunction(item) else check


def _doubled(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for index, one in enumerate(values):
        if any(same(one, other) for other in values[:index]) and not within(one, found):
            found.append(one)
    return found


def tuple_(schema: Schema, say: Saying, validator: Any) -> Check:
    """A list of so many parts, each of its own kind."""
    items = schema.get("items")
    if items is not None and (not isinstance(items, list | tuple) or not items):
        raise ServiceSchemaError("the rule 'tuple': its items are a list of rules, one at least")
    parts = [validator.part(item)[0] for item in items or ()]

    async def check(value: Any, place: Place) -> Any:
        if not isinstance(value, list):
            say(place, "tuple", value)
            return value
        if not value and schema.get("empty") is False:
            say(place, "tupleEmpty", value)
            return value
        if not parts or not value:
            return value
        if len(value) != len(parts):
            say(place, "tupleLength", len(value), len(parts))
            return value
        for index, part in enumerate(parts):
            after = part(value[index], place.part(f"[{index}]", place.parent))
            value[index] = await after if iscoroutinefunction(part) else after
        return value

    return check


def record(schema: Schema, say: Saying, validator: Any) -> Check:
    """An object whose keys are of one kind, and whose values of another."""
    key_rule = validator.read(schema.get("key") or "string")
    messages = {
        name: message.replace(" field ", " key ") if name.startswith("string") else message
        for name, message in {**validator.messages, **(key_rule.get("messages") or {})}.items()
    }
    of_key = validator.check({**key_rule, "messages": messages})
    of_value = validator.part(schema.get("value") or "any")[0]
    waits, key_waits = iscoroutinefunction(of_value), iscoroutinefunction(of_key)

    async def check(value: Any, place: Place) -> Any:
        if not isinstance(value, dict):
            say(place, "record", value)
            return value
        result = {}
        for key, one in named(value).items():
            within = place.part(f".{key}" if place.field else key, value)
            name = of_key(key, within)
            name = await name if key_waits else name
            after = of_value(one, within)
            result[name] = await after if waits else after
        return result

    return check


def multi(schema: Schema, say: Saying, validator: Any) -> Check:
    """Any of several kinds: the first that it is."""
    rules = [validator.part(rule)[0] for rule in schema["rules"]]

    async def check(value: Any, place: Place) -> Any:
        found: Errors = []
        for rule in rules:
            errors: Errors = []
            after = rule(value, place.at(place.field, place.parent, None, errors))
            if iscoroutinefunction(rule):
                after = await after
            if not errors:
                return after
            found += errors
        place.errors.extend(found)
        return value

    return check
