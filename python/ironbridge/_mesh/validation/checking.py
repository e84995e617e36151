"""What rules are compiled to: functions that check a value, and say what is wrong with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from .javascript import MISSING, text

Errors = list[dict[str, Any]]
Schema = dict[str, Any]


@dataclasses.dataclass(slots=True)
class Place:
    """Where a value is.

    Attributes:
        field: its path, as messages tell it; `None` for all of the parameters.
        parent: what it is in.
        errors: what is wrong so far.
        data: all of the parameters.
        label: its name for people.
        outer: of a part of a list or record, the field of the whole: fastest-validator tells it where the part is
            missing, and of what a user's check says.
        around: what it is within, of rules that are within themselves: the rule and the value.
    """

    field: str | None
    parent: Any
    errors: Errors
    data: Any
    label: str | None = None
    around: list[tuple[Any, Any]] = dataclasses.field(default_factory=list)
    outer: Any = MISSING

    def at(self, field: str | None, parent: Any, label: str | None = None, errors: Errors | None = None) -> Place:
        """A place within."""
        return Place(field, parent, self.errors if errors is None else errors, self.data, label, self.around)

    def part(self, name: str, parent: Any) -> Place:
        """That of a part of a list or record."""
        return Place(f"{self.field or ''}{name}", parent, self.errors, self.data, None, self.around, self.field)

    def whole(self) -> Place:
        """As what is told from without names it."""
        return self if self.outer is MISSING else dataclasses.replace(self, field=self.outer, outer=MISSING)


Check = Callable[[Any, Place], Any]
"""Gives the value, as it is to be: converted, trimmed, or as it was. Where a user's asynchronous check may belong to
it, it is a coroutine function, which waits for nothing but such checks."""


def at_once(check: Coroutine[Any, Any, Any]) -> Any:
    """What a check gives that waits for nothing."""
    try:
        check.send(None)
    except StopIteration as done:
        return done.value
    check.close()
    raise RuntimeError("a check waits, though its rules are not asynchronous")


def named(parts: Mapping[Any, Any]) -> dict[str, Any]:
    """Parts by their names, which are texts in JavaScript."""
    return {name if isinstance(name, str) else text(name): part for name, part in parts.items()}


class Saying:
    """Says what is wrong, in the words of one rule."""

    def __init__(self, messages: Mapping[str, str]) -> None:
        self.messages = messages

    def __call__(self, place: Place, type: str, actual: Any = MISSING, expected: Any = MISSING) -> None:
        """One thing."""
        error: dict[str, Any] = {"type": type, "message": self.messages.get(type)}
        if place.field is not None:
            error["field"] = place.field
        if expected is not MISSING:
            error["expected"] = expected
        if actual is not MISSING:
            error["actual"] = actual
        if place.label is not None:
            error["label"] = place.label
        place.errors.append(error)


def told(errors: Errors) -> Errors:
    """The errors with their messages filled in."""
    for error in errors:
        message = error.get("message")
        if message:
            shown = {**error, "field": error.get("label") or error.get("field")}
            for name in ("field", "expected", "actual"):
                value = shown.get(name)
                message = message.replace(f"{{{name}}}", "" if value is None else text(value))
            error["message"] = message
        elif message is None:
            error.pop("message", None)
    return errors
