"""Which keys of JSON are other in TypeScript, and where: what the client renames on the way to the server and back."""

from __future__ import annotations

import json
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal

from pydantic import BaseModel, JsonValue, RootModel
from typing_extensions import TypeAliasType

from .fields import Field, fields_of, keys_of
from .types import Types, is_declared, parameters_of, value_of

Shape = Any
"""`None`: nothing is renamed. A text: the name of a model's keys. A list: `"list"`, `"dict"` with the shape of what they
have, `"tuple"` with those of its places, `"any"` with those that it may have."""


class Shapes:
    """Shapes of types, and the keys of the models in them.

    Args:
        types: which names models.
        by_name: whether the server also writes models by the names of their fields, not by their aliases.

    Attributes:
        tables: the keys of models by the names of their types, of each side: those that go to the server are `True`'s.
    """

    def __init__(self, types: Types, by_name: bool = False) -> None:
        self.tables: dict[bool, dict[str, Any]] = {True: {}, False: {}}
        self._types, self._by_name = types, by_name
        self._has_choices = False

    def of(self, kind: Any, is_input: bool) -> Shape:
        """The shape of a type: `None` when nothing within is renamed."""
        return self._shape(kind, is_input) if self._changes(kind, is_input, set()) else None

    def written(self, kind: Any, is_input: bool) -> str | None:
        """The shape as TypeScript has it."""
        shape = self.of(kind, is_input)
        return None if shape is None else _compact(shape)

    def table(self, is_input: bool) -> str:
        """The keys of all models of a side, as TypeScript has them."""
        told = {name: self._pruned(keys) for name, keys in self.tables[is_input].items()}
        lines = [f"  {_compact(name)}: {_compact(keys)},\n" for name, keys in sorted(told.items())]
        return f"{{\n{''.join(lines)}}}" if lines else "{}"

    def _pruned(self, keys: Any) -> Any:
        # All keys are needed only where models are told apart by them.
        if self._has_choices or not isinstance(keys, dict):
            return keys
        return {name: to for name, to in keys.items() if to[0] != name or (len(to) > 1 and to[1] is not None)}

    def _shape(self, kind: Any, is_input: bool) -> Shape:
        kind = _bare(kind)
        if isinstance(kind, TypeAliasType) or is_declared(typing.get_origin(kind) or kind):
            return self._model(kind, is_input)
        inner, name = _inner(kind)
        if name == "any":
            found = [one for one in (self._alternative(part, is_input) for part in inner) if one is not None]
            self._has_choices = self._has_choices or len(found) > 1
            return found[0] if len(found) == 1 else ["any", *found]
        return [name, *(self.of(part, is_input) for part in inner)] if inner else None

    def _alternative(self, kind: Any, is_input: bool) -> Shape:
        # Even one that renames nothing has to be told from the others.
        kind = _bare(kind)
        if kind in (dict, list):
            return [kind.__name__, None]
        return None if kind is JsonValue else self._shape(kind, is_input)

    def _model(self, kind: Any, is_input: bool) -> str:
        name = self._types.of(kind, is_input)
        table = self.tables[is_input]
        if name in table:
            return name
        table[name] = None  # for those that have themselves within
        wrapped = _wrapped(kind)
        table[name] = self._shape(wrapped, is_input) if wrapped is not None else self._keys(kind, is_input)
        return name

    def _keys(self, kind: Any, is_input: bool) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for field, key in self._fields(kind, is_input):
            wire = field.wire(is_input) or key
            shape = self.of(field.annotation, is_input)
            # Where a key may be either of two, it is not known to be there.
            is_sure = not self._by_name or is_input or field.name == wire
            values = _values(field.annotation) if is_sure else []
            to: list[Any] = [wire if is_input else key]
            to += [shape] if shape is not None or values else []
            to += [values] if values else []
            found[key if is_input else wire] = to
            if self._by_name and not is_input:
                found.setdefault(field.name, to)
        return found

    def _fields(self, kind: Any, is_input: bool) -> list[tuple[Field, str]]:
        fields = [_with(one, kind) for one in fields_of(typing.get_origin(kind) or kind)]
        keys = keys_of(fields, self._types.sides_of(kind, is_input))
        return [(one, keys[one.name]) for one in fields if one.wire(is_input) is not None]

    def _changes(self, kind: Any, is_input: bool, seen: set[str]) -> bool:
        """Whether any key within is other in TypeScript."""
        kind = _bare(kind)
        if not (isinstance(kind, TypeAliasType) or is_declared(typing.get_origin(kind) or kind)):
            return any(self._changes(part, is_input, seen) for part in _inner(kind)[0])
        name = self._types.of(kind, is_input)
        if name in seen or kind is JsonValue:
            return False
        seen.add(name)
        if (wrapped := _wrapped(kind)) is not None:
            return self._changes(wrapped, is_input, seen)
        by_name = self._by_name and not is_input
        found = self._fields(kind, is_input)
        return any(one.wire(is_input) != key or (by_name and one.name != key) for one, key in found) or any(
            self._changes(one.annotation, is_input, seen) for one, _ in found
        )


def _bare(kind: Any) -> Any:
    while True:
        if typing.get_origin(kind) in (typing.Annotated, typing.Required, typing.NotRequired):
            kind = typing.get_args(kind)[0]
        elif isinstance(kind, typing.NewType):
            kind = kind.__supertype__
        elif isinstance(typing.get_origin(kind), TypeAliasType):
            kind = value_of(typing.get_origin(kind))[typing.get_args(kind)]
        else:
            return kind


def _inner(kind: Any) -> tuple[tuple[Any, ...], str]:
    """The types within one, and what it is of them."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is None:
        return _of_tuple(kind) if isinstance(kind, type) and hasattr(kind, "_fields") else ((), "")
    if origin is Literal:
        return (), ""
    if not isinstance(origin, type) or origin.__name__ in ("Union", "UnionType"):
        return arguments, "any"
    if issubclass(origin, Mapping):
        return arguments[1:], "dict"
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        return arguments, "tuple"
    return arguments[:1], "list"


def _of_tuple(kind: type[Any]) -> tuple[tuple[Any, ...], str]:
    return tuple(typing.get_type_hints(kind).values()), "tuple"


def _wrapped(kind: Any) -> Any:
    """What an alias or a root model stands for; `None` of other models."""
    if isinstance(kind, TypeAliasType):
        return value_of(kind)
    if isinstance(kind, type) and issubclass(kind, RootModel):
        kind.model_rebuild()
        return kind.model_fields["root"].annotation
    return None


def _with(field: Field, kind: Any) -> Field:
    """A field of a generic class whose variables stand for something; models of pydantic's have it so already."""
    given = typing.get_args(kind)
    if not given or (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return field
    known = dict(zip(parameters_of(typing.get_origin(kind)), given, strict=False))
    annotation = known.get(field.annotation, field.annotation) if _is_hashable(field.annotation) else field.annotation
    inner = getattr(annotation, "__parameters__", ())
    if inner and typing.get_origin(annotation) is not None:
        annotation = annotation[tuple(known.get(one, one) for one in inner)]
    return Field(field.name, annotation, field.received, field.sent, field.default)


def _is_hashable(value: Any) -> bool:
    return getattr(type(value), "__hash__", None) is not None


def _values(annotation: Any) -> list[Any]:
    """What a field of a literal may be, which tells models apart."""
    annotation = _bare(annotation)
    if typing.get_origin(annotation) is not Literal:
        return []
    return [one.value if isinstance(one, Enum) else one for one in typing.get_args(annotation)]


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
