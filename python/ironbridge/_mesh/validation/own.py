"""The user's own checks: `custom(value, errors, schema, path, parent, data)` gives the value."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..errors import ServiceSchemaError
from .checking import Check, Errors, Place, Saying, Schema
from .javascript import MISSING


def own_checks(schema: Schema, say: Saying, is_async: bool) -> Check | None:
    """The checks of a rule, one after the other; `None` when it has none. Of asynchronous rules, a coroutine function."""
    given = schema.get("check") if schema["type"] == "custom" else schema.get("custom")
    functions = [one for one in (given if isinstance(given, list | tuple) else [given]) if callable(one)]
    if not functions:
        return None

    def begin(function: Callable[..., Any], value: Any, errors: Errors, place: Place) -> Any:
        shown = None if value is MISSING else value
        return function(shown, errors, schema, place.field, place.parent, place.data)

    def end(value: Any, after: Any, errors: Errors, place: Place) -> Any:
        field = place.whole().field if errors else None
        for error in errors:
            message = say.messages.get(error.get("type", ""))
            place.errors.append({"message": message, "field": field, **error})
        return MISSING if after is None and value is MISSING else after

    def own(value: Any, place: Place) -> Any:
        for function in functions:
            errors: Errors = []
            after = begin(function, value, errors, place)
            if inspect.isawaitable(after):
                if inspect.iscoroutine(after):
                    after.close()
                raise ServiceSchemaError(f"the check of {place.field} is asynchronous: the rules need $$async: True")
            value = end(value, after, errors, place)
        return value

    async def own_later(value: Any, place: Place) -> Any:
        for function in functions:
            errors: Errors = []
            after = begin(function, value, errors, place)
            after = await after if inspect.isawaitable(after) else after
            value = end(value, after, errors, place)
        return value

    return own_later if is_async else own
