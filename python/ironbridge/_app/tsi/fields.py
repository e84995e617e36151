"""The fields of models, dataclasses and typed dictionaries, with their names on the wire."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel

from .naming import camel

Default = Literal["none", "value", "factory"]


@dataclass(frozen=True)
class Field:
    """One field.

    Attributes:
        name: in Python.
        annotation: its type.
        received: its key in JSON that the server reads; `None` when it reads none.
        sent: its key in JSON that the server writes; `None` when it writes none.
        default: how it comes by a value that is not given.
    """

    name: str
    annotation: Any
    received: str | None
    sent: str | None
    default: Default = "none"

    @property
    def may_be_left_out(self) -> bool:
        """Whether whoever sends it may do without. Literals are given always: they tell models apart."""
        return self.default != "none" and _origin(self.annotation) is not Literal

    def wire(self, is_input: bool) -> str | None:
        """Its key in JSON, on one side."""
        return self.received if is_input else self.sent


def fields_of(kind: Any) -> list[Field]:
    """All fields, inherited ones too, in the order in which they are written."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        kind.model_rebuild()
        config = kind.model_config
        found = [_of_pydantic(name, field, config) for name, field in kind.model_fields.items()]
        computed = kind.model_computed_fields.items()
        return found + [Field(name, one.return_type, None, one.alias or name) for name, one in computed]
    if (of_pydantic := getattr(kind, "__pydantic_fields__", None)) is not None:
        told = getattr(kind, "__pydantic_config__", None) or {}
        return [_of_pydantic(name, field, told) for name, field in of_pydantic.items()]
    hints = typing.get_type_hints(kind)
    if dataclasses.is_dataclass(kind):
        return [_of_dataclass(one, hints[one.name]) for one in dataclasses.fields(kind)]
    return [
        Field(name, hints[name], name, name, "none" if is_required else "value")
        for name, is_required in _required(kind).items()
    ]


def keys_of(fields: list[Field], sides: set[bool]) -> dict[str, str]:
    """The key of each field in TypeScript, by its name in Python: that on the wire in camelCase, or as it is where two
    would be the same.

    Args:
        fields: all of a model.
        sides: `True` if it goes to the server, `False` if it comes from it.
    """
    wires = {one.name: (one.sent if False in sides else None) or one.received or one.sent or one.name for one in fields}
    shown = [camel(wire) for wire in wires.values()]
    return {name: wire if shown.count(camel(wire)) > 1 else camel(wire) for name, wire in wires.items()}


def _required(kind: Any) -> dict[str, bool]:
    """Whether each key of a typed dictionary must be there. Annotations that are texts say it only once read."""
    found: dict[str, bool] = {}
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        while typing.get_origin(hint) is typing.Annotated:
            hint = typing.get_args(hint)[0]
        origin = typing.get_origin(hint)
        found[name] = origin is typing.Required or (origin is not typing.NotRequired and name in kind.__required_keys__)
    return found


def _of_pydantic(name: str, field: Any, config: Mapping[str, Any]) -> Field:
    alias = field.validation_alias or field.alias
    if isinstance(alias, AliasChoices):
        alias = next((one for one in alias.choices if isinstance(one, str)), None)
    by_alias = isinstance(alias, str) and config.get("validate_by_alias") is not False
    sent = None if field.exclude else field.serialization_alias or field.alias or name
    received = None if getattr(field, "init", None) is False else alias if by_alias else name
    default: Default = "none" if field.is_required() else "factory" if field.default_factory is not None else "value"
    return Field(name, field.annotation, received, sent, default)


def _of_dataclass(field: dataclasses.Field[Any], annotation: Any) -> Field:
    default: Default = "none"
    if field.default is not dataclasses.MISSING:
        default = "value"
    elif field.default_factory is not dataclasses.MISSING:
        default = "factory"
    return Field(field.name, annotation, field.name if field.init else None, field.name, default)


def _origin(annotation: Any) -> Any:
    if typing.get_origin(annotation) is typing.Annotated:
        return _origin(typing.get_args(annotation)[0])
    return typing.get_origin(annotation)
