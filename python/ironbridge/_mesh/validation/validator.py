"""The validator: it compiles rules, once for each schema."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ServiceSchemaError
from . import formats, structures, texts, values
from .checking import Check, Errors, Place, Saying, Schema, at_once, named, told
from .javascript import MISSING, number
from .messages import MESSAGES
from .own import own_checks
from .recursive import Link

Compiled = Callable[..., Any]
"""Called with the parameters; gives `None`, or a list of what is wrong. Of asynchronous rules, to be awaited."""

_RULES: dict[str, values.Make] = {
    "any": values.any_,
    "array": structures.array,
    "boolean": values.boolean,
    "class": values.class_,
    "currency": values.currency,
    "custom": values.any_,
    "date": values.date_,
    "email": formats.email,
    "enum": values.enum,
    "equal": values.equal,
    "forbidden": values.forbidden,
    "function": values.function,
    "luhn": formats.luhn,
    "mac": formats.mac,
    "multi": structures.multi,
    "number": values.number_,
    "object": structures.object_,
    "objectID": values.object_id,
    "record": structures.record,
    "string": texts.string,
    "tuple": structures.tuple_,
    "url": formats.url,
    "uuid": formats.uuid,
}


class Validator:
    """Compiles rules as fastest-validator 1.19 means them.

    Args:
        defaults: what rules of a type have that do not say otherwise, by the type.
        messages: texts in place of the usual.
        aliases: rules by names of your own.
        halt_on_first_error: whether one wrong field is enough.
        consider_null_as_a_value: whether `None` is a value, which a field must forbid (`nullable: False`).
    """

    def __init__(
        self,
        defaults: Mapping[str, Mapping[str, Any]] | None = None,
        messages: Mapping[str, str] | None = None,
        aliases: Mapping[str, Any] | None = None,
        halt_on_first_error: bool = False,
        consider_null_as_a_value: bool = False,
    ) -> None:
        self.defaults = {name: dict(told) for name, told in (defaults or {}).items()}
        self.messages = {**MESSAGES, **(messages or {})}
        self.halts, self._null_is_a_value = halt_on_first_error, consider_null_as_a_value
        self._rules = dict(_RULES)
        self._aliases: dict[str, Any] = {}
        self._under_way: dict[int, Link] = {}
        self._is_async = False
        for name, rule in (aliases or {}).items():
            self.alias(name, rule)

    def add(self, type: str, make: values.Make) -> None:
        """Adds a rule: `make(schema, say, validator)` gives its check, `(value, place) -> value`."""
        self._rules[type] = make

    def alias(self, name: str, rule: Any) -> None:
        """Adds a name for a rule.

        Raises:
            ServiceSchemaError: that is a rule's own.
        """
        if name in self._rules:
            raise ServiceSchemaError(f"the alias {name!r} is a rule's name")
        self._aliases[name] = rule

    def validate(self, params: Any, schema: Any) -> Errors | None:
        """What is wrong with parameters; `None` when nothing is. They are converted in place."""
        found: Errors | None = self.compile(schema)(params)
        return found

    def compile(self, schema: Any) -> Compiled:
        """A function that checks parameters.

        Raises:
            ServiceSchemaError: a rule is not written as rules are.
        """
        if not isinstance(schema, Mapping | list | tuple):
            raise ServiceSchemaError(f"rules are a dict, or a list of alternatives, not {schema!r}")
        whole = copy.deepcopy(schema) if _is_plain(schema, set()) else schema
        is_async = isinstance(whole, Mapping) and whole.get("$$async") is True
        if isinstance(whole, Mapping) and whole.get("$$root") is not True:
            properties = {name: rule for name, rule in named(whole).items() if not name.startswith("$$")}
            whole = {"type": "object", "strict": whole.get("$$strict"), "properties": properties}
        before, self._is_async = self._is_async, is_async
        try:
            check, label = self.part(whole)
        except RecursionError:
            raise ServiceSchemaError("rules are nested too deeply: an alias cannot be within itself") from None
        finally:
            self._is_async = before
        waits = inspect.iscoroutinefunction(check)

        def checked(params: Any, ctx: Any = None) -> Errors | None:
            place = Place(None, None, [], params, label)
            after = check(params, place)
            if waits:
                at_once(after)
            return told(place.errors) if place.errors else None

        async def checked_later(params: Any, ctx: Any = None) -> Errors | None:
            place = Place(None, None, [], params, label)
            after = check(params, place)
            if waits:
                await after
            return told(place.errors) if place.errors else None

        return checked_later if is_async else checked

    # ---- rules -------------------------------------------------------------------------------------------

    def read(self, rule: Any) -> Schema:
        """A rule in full, of whatever way it was written in.

        Raises:
            ServiceSchemaError: it is none.
        """
        if isinstance(rule, str):
            schema = self._short(rule)
        elif isinstance(rule, list | tuple):
            schema = self._alternatives(list(rule))
        elif isinstance(rule, Mapping):
            schema = dict(rule)
        else:
            raise ServiceSchemaError(f"{rule!r} is no rule: write a text, a dict, or a list of alternatives")
        if "$$type" in schema:
            outer = self.read(schema.pop("$$type"))
            schema = {**outer, "props": schema}
        kind = schema.get("type")
        if kind in self._aliases:
            schema.pop("type")
            schema = {**self.read(self._aliases[kind]), **schema}
            kind = schema.get("type")
        if kind not in self._rules:
            raise ServiceSchemaError(f"{kind!r} is no rule's type; there are {', '.join(sorted(self._rules))}")
        return {**self.defaults.get(str(kind), {}), **schema}

    def _alternatives(self, rules: list[Any]) -> Schema:
        if not rules:
            raise ServiceSchemaError("a list of alternatives has one at least")
        read = [self.read(rule) for rule in rules]
        schema: Schema = {"type": "multi", "rules": rules}
        if all(one.get("optional") is True for one in read):
            schema["optional"] = True
        wanted = not self._null_is_a_value
        if all(one.get("nullable") is wanted for one in read):
            schema["nullable"] = wanted
        return schema

    def _short(self, text: str) -> Schema:
        first, *rest = (part.strip() for part in text.split("|"))
        schema: Schema = {"type": "array", "items": first[:-2]} if first.endswith("[]") else {"type": first}
        for part in rest:
            name, mark, value = part.partition(":")
            if mark:
                schema[name.strip()] = _short_value(value.strip())
            elif part.startswith("no-"):
                schema[part[3:]] = False
            else:
                schema[part] = True
        return schema

    def part(self, rule: Any) -> tuple[Check, str | None]:
        """A rule's check, and its label. A rule that is within itself is compiled once.

        Raises:
            ServiceSchemaError: it is none.
        """
        known = self._under_way.get(id(rule))
        if known is not None:
            return known.again, known.label
        read = self.read(rule)
        label = read.get("label")
        if isinstance(rule, str):
            return self.check(read), label
        link = self._under_way[id(rule)] = Link(label)
        try:
            link.check = self.check(read)
        finally:
            del self._under_way[id(rule)]
        return link.check, label

    def check(self, schema: Schema) -> Check:
        """What a rule in full is compiled to: whether there is a value, what it is, and the user's own check."""
        say = Saying({**self.messages, **(schema.get("messages") or {})})
        inner = self._rules[schema["type"]](schema, say, self)
        own = own_checks(schema, say, self._is_async)
        there = self._there(schema, say)
        if not inspect.iscoroutinefunction(inner) and not inspect.iscoroutinefunction(own):

            def checked(value: Any, place: Place) -> Any:
                value = there(value, place) if value is MISSING or value is None else inner(value, place)
                return own(value, place) if own is not None else value

            return checked
        inner_waits, own_waits = inspect.iscoroutinefunction(inner), inspect.iscoroutinefunction(own)

        async def checked_waiting(value: Any, place: Place) -> Any:
            if value is MISSING or value is None:
                value = there(value, place)
            else:
                value = await inner(value, place) if inner_waits else inner(value, place)
            if own is None:
                return value
            return await own(value, place) if own_waits else own(value, place)

        return checked_waiting

    def _there(self, schema: Schema, say: Saying) -> Check:
        """What is made of no value."""
        optional, nullable = schema.get("optional") is True, schema.get("nullable")
        has_default = schema.get("default") is not None
        is_forbidden = schema["type"] == "forbidden"
        skips_missing = (optional or is_forbidden) and not has_default
        if self._null_is_a_value:
            skips_null = (nullable is not False or is_forbidden) and not (has_default and nullable is False)
        else:
            skips_null = (optional or nullable is True or is_forbidden) and not (has_default and nullable is not True)

        def there(value: Any, place: Place) -> Any:
            if not (skips_missing if value is MISSING else skips_null):
                if has_default:
                    return _default(schema, place)
                say(place.whole(), "required", value)
            return value

        return there


def _default(schema: Schema, place: Place) -> Any:
    default = schema["default"]
    return default(schema, place.field, place.parent, place.data) if callable(default) else copy.deepcopy(default)


def _short_value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    read = number(text)
    return text if read != read else read


def _is_plain(schema: Any, seen: set[int]) -> bool:
    """Whether it can be copied: it holds no functions and classes."""
    if isinstance(schema, Mapping | list | tuple):
        if id(schema) in seen:
            return True
        seen.add(id(schema))
        return all(_is_plain(one, seen) for one in (schema.values() if isinstance(schema, Mapping) else schema))
    return isinstance(schema, str | int | float | bool | None)
