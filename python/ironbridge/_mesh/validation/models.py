"""Models as rules: pydantic's, dataclasses and typed dicts; and what nodes in other languages are told of them."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any

from ...errors import ConfigurationError
from .checking import Errors


def is_model(rules: Any) -> bool:
    """Whether these are a class, and not fastest-validator's rules."""
    return isinstance(rules, type)


class ModelCheck:
    """Checks parameters by a model.

    Args:
        model: a pydantic model, a dataclass, or a typed dict.

    Raises:
        ConfigurationError: pydantic is missing, or it is none of these.
    """

    def __init__(self, model: type[Any]) -> None:
        try:
            from pydantic import TypeAdapter
        except ImportError as missing:
            raise ConfigurationError("params=Model needs the package pydantic: pip install pydantic") from missing
        if not _is_known(model):
            raise ConfigurationError(f"params={model.__qualname__}: give a pydantic model, a dataclass or a TypedDict")
        self._adapter: TypeAdapter[Any] = TypeAdapter(model)

    def read(self, params: Any) -> tuple[Any, Errors | None]:
        """The model of the parameters, or what is wrong with them."""
        from pydantic import ValidationError

        try:
            return self._adapter.validate_python(params), None
        except ValidationError as error:
            return None, [
                {
                    "type": one["type"],
                    "message": one["msg"],
                    "field": ".".join(map(str, one["loc"])),
                    "actual": _plain(one["input"]),
                }
                for one in error.errors(include_url=False, include_context=False)
            ]

    def rules(self) -> dict[str, Any]:
        """What fastest-validator would be told: enough for other nodes to know the parameters."""
        schema = self._adapter.json_schema()
        rules = _rule(schema, schema.get("$defs", {}), depth=0)
        return dict(rules.get("props", {}))


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | list | dict | None) else str(value)


_TYPES = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "array": "array"}
_BOUNDS = {"minLength": "min", "maxLength": "max", "minimum": "min", "maximum": "max", "pattern": "pattern"}
_FORMATS = {"uuid": "uuid", "email": "email", "uri": "url"}
_DEEPEST = 8


def _rule(schema: dict[str, Any], known: dict[str, Any], depth: int) -> dict[str, Any]:
    """One of JSON Schema's, as fastest-validator's."""
    if "$ref" in schema:
        schema = known.get(schema["$ref"].rpartition("/")[2], {})
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        rest = [one for one in choices if one.get("type") != "null"]
        rule = _rule(rest[0], known, depth) if len(rest) == 1 else {"type": "any"}
        return {**rule, "nullable": True} if len(rest) < len(choices) else rule
    if "enum" in schema:
        return {"type": "enum", "values": schema["enum"]}
    if "properties" in schema and depth < _DEEPEST:
        required = set(schema.get("required", ()))
        props = {}
        for name, inner in schema["properties"].items():
            rule = _rule(inner, known, depth + 1)
            props[name] = rule if name in required else {**rule, "optional": True}
        return {"type": "object", "props": props}
    kind = schema.get("type")
    rule = {
        "type": _FORMATS.get(schema.get("format", "")) or _TYPES.get(str(kind), "object" if kind == "object" else "any")
    }
    if kind == "integer":
        rule["integer"] = True  # type: ignore[assignment]
    if kind == "array" and isinstance(schema.get("items"), dict) and depth < _DEEPEST:
        rule["items"] = _rule(schema["items"], known, depth + 1)  # type: ignore[assignment]
    rule |= {ours: schema[theirs] for theirs, ours in _BOUNDS.items() if theirs in schema and rule["type"] != "uuid"}
    return rule


def annotated(handler: Callable[..., Any]) -> type[Any] | None:
    """The model that a handler's parameter is annotated with: `async def add(self, params: Add)`."""
    function = inspect.unwrap(getattr(handler, "__func__", handler))
    try:
        parameters = [one for one in inspect.signature(function).parameters.values() if one.name != "self"]
        hints = typing.get_type_hints(function)
    except (TypeError, ValueError, NameError):
        return None
    kind = hints.get(parameters[0].name) if parameters else None
    if not isinstance(kind, type):
        return None
    return kind if _is_known(kind) else None


def _is_known(kind: type[Any]) -> bool:
    # A TypedDict, of whichever module, is a plain class but for its keys.
    return hasattr(kind, "model_validate") or is_dataclass(kind) or hasattr(kind, "__required_keys__")
