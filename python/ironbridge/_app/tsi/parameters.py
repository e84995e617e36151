"""The parameters of an endpoint: those that FastAPI reads, in the order in which they are written."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import UnionType
from typing import Any, Literal

from fastapi import params
from fastapi.dependencies.models import Dependant
from pydantic import AliasChoices, BaseModel, Json

from .fields import fields_of, keys_of
from .naming import member, variable

Kind = Literal["path", "query", "header", "cookie", "body", "form"]
_PLACES: dict[str, Kind] = {
    "path_params": "path",
    "query_params": "query",
    "header_params": "header",
    "cookie_params": "cookie",
    "body_params": "body",
}


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        name: in TypeScript.
        wire: on the wire.
        kind: where it is sent.
        annotation: its type.
        required: whether it must be given.
        is_file: whether its bytes are sent as a file.
        is_exact: whether its name on the wire was chosen: clients must not change it.
        model: the model whose fields are sent instead of itself, as FastAPI reads queries, headers and forms.
        is_one_of: whether it is a form of one model or another, whose fields are sent instead of itself, too.
        converts: whether names of the model's fields are written with hyphens in headers.
    """

    name: str
    wire: str
    kind: Kind
    annotation: Any
    required: bool
    is_file: bool = False
    is_exact: bool = False
    model: type[BaseModel] | None = None
    is_one_of: bool = False
    converts: bool = False

    def parts(self, sides: set[bool]) -> list[tuple[str, str]]:
        """Names on the wire, and the expressions of what is sent under them.

        Args:
            sides: those of its model, if it has one.
        """
        if self.model is None:
            return [(self.wire, self.name)]
        fields = fields_of(self.model)
        keys = keys_of(fields, sides)
        found = []
        for one in fields:
            if one.received is not None:
                wire = one.received
                if self.converts and wire == one.name:
                    wire = wire.replace("_", "-")
                found.append((wire, self.name + member(keys[one.name], may_be_missing=not self.required)))
        return found


def parameters_of(dependant: Dependant) -> list[Parameter]:
    """All of an endpoint: those of its middlewares and dependencies first, then its own; each once."""
    found: dict[tuple[str, str], Parameter] = {}
    names: set[str] = set()
    for one in _walked(dependant):
        if (one.kind, one.wire) not in found:
            name = one.name
            while name in names:
                name += "_"
            names.add(name)
            found[one.kind, one.wire] = replace(one, name=name)
    return list(found.values())


def _walked(dependant: Dependant) -> Iterator[Parameter]:
    own = {one.name: (kind, one) for place, kind in _PLACES.items() for one in getattr(dependant, place)}
    inner = {one.name: one for one in dependant.dependencies if one.name is not None}
    for one in dependant.dependencies:
        if one.name is None:
            yield from _walked(one)
    order = list(inspect.signature(dependant.call).parameters) if dependant.call is not None else []
    for name in dict.fromkeys([*order, *inner, *own]):
        if name in inner:
            yield from _walked(inner[name])
        elif name in own:
            yield _parameter(*own[name])


def _parameter(kind: Kind, field: Any) -> Parameter:
    info = field.field_info
    annotation = _bare(info.annotation)
    if isinstance(info, params.Form):
        kind = "form"
    alias = info.validation_alias or field.alias
    if isinstance(alias, AliasChoices):
        alias = next((one for one in alias.choices if isinstance(one, str)), None)
    wire = alias if isinstance(alias, str) else field.name
    models = []
    is_json = any(Json in (one, type(one)) for one in info.metadata)
    if kind in ("query", "header", "cookie", "form") and not getattr(info, "embed", None) and not is_json:
        models = _models(annotation)
    return Parameter(
        variable(field.name),
        wire,
        kind,
        annotation,
        info.is_required(),
        isinstance(info, params.File),
        wire != (field.name.replace("_", "-") if kind == "header" else field.name),
        models[0] if len(models) == 1 else None,
        kind == "form" and len(models) > 1,
        kind == "header" and bool(getattr(info, "convert_underscores", True)),
    )


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models of `Model`, of `Model | None`, or of `Model | Other`."""
    is_union = typing.get_origin(annotation) in (typing.Union, UnionType)
    inner = [_bare(one) for one in typing.get_args(annotation)] if is_union else [annotation]
    found = [one for one in inner if one is not type(None)]
    return found if all(_is_model(one) for one in found) else []


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _bare(annotation: Any) -> Any:
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is typing.Annotated else annotation
