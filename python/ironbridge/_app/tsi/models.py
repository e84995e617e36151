"""Models as interfaces, enumerations, and aliases."""

from __future__ import annotations

from enum import Enum
from typing import Any

from pydantic import BaseModel, RootModel
from typing_extensions import TypeAliasType

from ..ws.messages import WebSocketMessage, WebSocketMessageBase
from .decorators import SplitInputOutput
from .fields import Field, fields_of, keys_of
from .naming import key, quoted
from .types import Types, is_enum, is_plain_enum, name_of, origin_of, parameters_of, value_of, written_value

_MESSAGES = (WebSocketMessage, WebSocketMessageBase)


def declared(kind: Any, types: Types) -> dict[str, str]:
    """The declarations of what was found to be needed, by name: one, or two of a model that is split."""
    if is_enum(kind):
        return {kind.__name__: _enum(kind)}
    if SplitInputOutput.get(kind):
        return {name_of(kind, side): _model(kind, types, {side}) for side in (True, False)}
    return {kind.__name__: _model(kind, types, types.needed[kind])}


def _enum(kind: type[Enum]) -> str:
    members = sorted(kind, key=lambda one: one.name)
    if not is_plain_enum(kind):
        return f"export type {kind.__name__} = {' | '.join(written_value(one.value) for one in members)};"
    lines = "".join(f"  {one.name} = {written_value(one.value)},\n" for one in members)
    return f"export enum {kind.__name__} {{\n{lines}}}"


def _model(kind: Any, types: Types, sides: set[bool]) -> str:
    parameters = parameters_of(kind)
    is_input = False not in sides
    head = name_of(kind, is_input) + (f"<{', '.join(one.__name__ for one in parameters)}>" if parameters else "")
    with types.within(parameters):
        if isinstance(kind, TypeAliasType):
            return f"export type {head} = {_both(value_of(kind), types, sides)};"
        if issubclass(kind, RootModel):
            return f"export type {head} = {_both(kind.model_fields['root'].annotation, types, sides)};"
        if kind in _MESSAGES:
            return f"export interface {head} {{\n  MESSAGE_ID: string;\n}}"
        lines = _lines(kind, types, sides)
        own, extended = dict(lines), []
        for base in _bases(kind):
            theirs = _lines_of_base(base, types, is_input)
            changed = [name for name, line in theirs.items() if lines.get(name) != line]
            for name in theirs.keys() - changed:
                own.pop(name, None)
            extended.append(_without(types.of(base, is_input), ["MESSAGE_ID"] if base in _MESSAGES else changed))
    inherits = f" extends {', '.join(extended)}" if extended else ""
    body = "".join(f"  {line}\n" for _, line in sorted(own.items()))
    return f"export interface {head}{inherits} {{\n{body}}}"


def _lines(kind: Any, types: Types, sides: set[bool]) -> dict[str, str]:
    """The fields as they are declared, by their keys."""
    found = {}
    fields = fields_of(kind)
    keys = keys_of(fields, sides)
    is_split = bool(SplitInputOutput.get(origin_of(kind)))
    for field in fields:
        if any(field.wire(side) is not None for side in sides):
            mark = "?" if _is_optional(field, sides, is_split) else ""
            found[keys[field.name]] = f"{key(keys[field.name])}{mark}: {_both(field.annotation, types, sides)};"
    return found


def _is_optional(field: Field, sides: set[bool], is_split: bool) -> bool:
    if any(field.wire(side) is None for side in sides):
        return True
    if True in sides:
        return field.may_be_left_out
    # What comes from the server alone: its defaults are values by then, yet clients are used to these marks.
    return field.default == "value" and field.may_be_left_out and not is_split


def _both(annotation: Any, types: Types, sides: set[bool]) -> str:
    """A type on all sides that it is on: several only where a model within is split."""
    return " | ".join(dict.fromkeys(types.of(annotation, side) for side in sorted(sides)))


def _bases(kind: Any) -> list[Any]:
    """The models that a model derives from."""
    if not issubclass(kind, BaseModel):
        return []
    return [base for base in kind.__bases__ if issubclass(base, BaseModel) and base is not BaseModel]


def _lines_of_base(base: Any, types: Types, is_input: bool) -> dict[str, str]:
    types.of(base, is_input)
    return {} if base in _MESSAGES else _lines(base, types, types.sides_of(base, is_input))


def _without(base: str, keys: list[str]) -> str:
    return f"Omit<{base}, {' | '.join(quoted(one) for one in sorted(keys))}>" if keys else base
