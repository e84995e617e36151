"""Python's types as TypeScript's, as they cross in JSON."""

from __future__ import annotations

import collections
import dataclasses
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from typing import Any, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, JsonValue, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, PydanticUserError
from starlette.datastructures import UploadFile
from typing_extensions import TypeAliasType

from .decorators import SplitInputOutput
from .naming import quoted

_TEXTS = (str, UUID, datetime, date, time, Decimal, bytes, timedelta)
_LISTS = (list, set, frozenset, tuple, collections.deque)
_OF_SCHEMA = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_TABLE = "{ [key: string]: any }"


class Types:
    """Writes types, and remembers what must be declared for them: models and enumerations, and to which side each goes.

    Attributes:
        needed: `True` if it goes to the server, `False` if it comes from it, or both, by what is to be declared.
        file: what a file is called.
    """

    def __init__(self) -> None:
        self.needed: dict[Any, set[bool]] = {}
        self.file = "File"
        self._scope: tuple[Any, ...] = ()

    @contextmanager
    def within(self, parameters: Sequence[Any]) -> Iterator[None]:
        """Has these type variables stand for themselves; others are `any`."""
        before, self._scope = self._scope, tuple(parameters)
        try:
            yield
        finally:
            self._scope = before

    def sides_of(self, kind: Any, is_input: bool) -> set[bool]:
        """The sides of a declaration: of a model that is split, the one asked for."""
        origin = origin_of(kind)
        return {is_input} if SplitInputOutput.get(origin) else self.needed.get(origin, {is_input})

    def of(self, kind: Any, is_input: bool = False) -> str:
        """A type.

        Args:
            kind: an annotation, read already.
            is_input: whether it goes to the server.
        """
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if kind is None or kind is type(None):
            return "null"
        if origin is typing.Annotated or origin in (typing.Required, typing.NotRequired, typing.Final):
            return self.of(arguments[0], is_input)
        if origin in (typing.Union, types.UnionType):
            return " | ".join(dict.fromkeys(self.of(one, is_input) for one in arguments))
        if origin is Literal:
            return " | ".join(self._literal(one, is_input) for one in arguments)
        if isinstance(kind, TypeVar):
            return kind.__name__ if kind in self._scope else "any"
        if isinstance(kind, typing.NewType):
            return self.of(kind.__supertype__, is_input)
        if isinstance(kind, TypeAliasType):
            return "any" if kind is JsonValue else self._declared(kind, is_input)
        if isinstance(origin, TypeAliasType):
            return self.of(value_of(origin)[arguments], is_input)
        if is_declared(origin):
            return self._declared(origin, is_input, arguments)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return self._table(arguments, is_input)
        if origin is tuple:
            return self._tuple(arguments, is_input)
        if isinstance(origin, type) and issubclass(origin, Iterable):
            return f"Array<{self.of(arguments[0], is_input)}>"
        return self._plain(kind, is_input)

    def of_file(self, kind: Any) -> str:
        """The type of what is sent as a file, or as several."""
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin in (typing.Union, types.UnionType):
            return " | ".join(dict.fromkeys("null" if one is type(None) else self.of_file(one) for one in arguments))
        return f"Array<{self.of_file(arguments[0])}>" if origin in _LISTS else self.file

    def _table(self, arguments: tuple[Any, ...], is_input: bool) -> str:
        key = self.of(arguments[0], is_input)
        value = self.of(arguments[1], is_input) if len(arguments) > 1 else "number"
        if key in ("string", "number"):
            return f"{{ [key: {key}]: {value} }}"
        is_enumerated = is_enum(arguments[0]) or typing.get_origin(arguments[0]) is Literal
        return f"{{ [key in {key}]?: {value} }}" if is_enumerated else f"{{ [key: string]: {value} }}"

    def _tuple(self, arguments: tuple[Any, ...], is_input: bool) -> str:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return f"Array<{self.of(arguments[0], is_input)}>"
        return f"[{', '.join(self.of(one, is_input) for one in arguments)}]"

    def _declared(self, kind: Any, is_input: bool, arguments: Sequence[Any] = ()) -> str:
        self.needed.setdefault(kind, set()).add(is_input)
        given = arguments or parameters_of(kind)
        inner = ", ".join(self.of(one, is_input) for one in given)
        return f"{name_of(kind, is_input)}<{inner}>" if given else name_of(kind, is_input)

    def _plain(self, kind: Any, is_input: bool) -> str:
        if kind in (Any, object):
            return "any"
        if not isinstance(kind, type):
            return by_schema(kind)
        if kind is bool:
            return "boolean"
        if is_enum(kind):
            return self._declared(kind, is_input)
        if issubclass(kind, int | float):
            return "number"
        if issubclass(kind, _TEXTS):
            return "string"
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            return self._tuple(tuple(typing.get_type_hints(kind).values()), is_input)
        if issubclass(kind, UploadFile):
            return self.file
        if is_declared(kind):
            told = getattr(kind, "__pydantic_generic_metadata__", {})
            return self._declared(told.get("origin") or kind, is_input, told.get("args", ()))
        if issubclass(kind, Mapping):
            return _TABLE
        return "Array<any>" if issubclass(kind, _LISTS) or kind in (Sequence, Iterable) else by_schema(kind)

    def _literal(self, value: Any, is_input: bool) -> str:
        if isinstance(value, Enum):
            if not is_enum(type(value)) or not is_plain_enum(type(value)):
                return written_value(value.value)
            return f"{self._declared(type(value), is_input)}.{value.name}"
        return written_value(value)


def is_enum(kind: Any) -> bool:
    """Whether it is an enumeration; flags are numbers, as they are combined."""
    return isinstance(kind, type) and issubclass(kind, Enum) and not issubclass(kind, Flag)


def is_plain_enum(kind: type[Enum]) -> bool:
    """Whether TypeScript can have it as one: its values are texts and numbers."""
    return all(isinstance(one.value, str | int | float) and not isinstance(one.value, bool) for one in kind)


def is_declared(kind: Any) -> bool:
    """Whether it is a class with fields, which has a declaration of its own."""
    if not isinstance(kind, type):
        return False
    return issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind) or hasattr(kind, "__required_keys__")


def origin_of(kind: Any) -> Any:
    """The class that a generic one with its arguments is of; any other itself."""
    told = getattr(kind, "__pydantic_generic_metadata__", None) if isinstance(kind, type) else None
    return (told["origin"] if told else None) or typing.get_origin(kind) or kind


def parameters_of(kind: Any) -> tuple[Any, ...]:
    """The type variables of a generic class."""
    told = getattr(kind, "__pydantic_generic_metadata__", None)
    return tuple(told["parameters"] if told else getattr(kind, "__parameters__", ()))


def value_of(alias: Any) -> Any:
    """What an alias stands for, read where it is a text."""
    holder = type(alias.__name__, (), {"__module__": alias.__module__, "__annotations__": {"value": alias.__value__}})
    return typing.get_type_hints(holder, include_extras=True)["value"]


def name_of(kind: Any, is_input: bool) -> str:
    """A declaration's name; of a model that is split, that of the side."""
    name: str = kind.__name__
    return f"{name}{'Input' if is_input else 'Output'}" if SplitInputOutput.get(kind) else name


def by_schema(kind: Any) -> str:
    """The type of what pydantic knows and we do not, such as URLs and paths."""
    try:
        schema = TypeAdapter(kind).json_schema(mode="serialization")
    except (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema, PydanticUserError):
        return "unknown"
    return _OF_SCHEMA.get(schema.get("type", ""), "unknown")


def written_value(value: Any) -> str:
    """A value of a literal or an enumeration."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return "null" if value is None else quoted(value.decode() if isinstance(value, bytes) else str(value))
