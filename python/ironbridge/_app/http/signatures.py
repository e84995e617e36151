"""Functions as FastAPI reads them: the parameters of a method without its `self`, and of the engine's own beside them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..core.container import _hints as hints

OWN = "ironbridge_"
"""Before the names of our own parameters, which no user's has."""


def named(function: Callable[..., Any], type_: type[Any]) -> str | None:
    """The name of a method's parameter of a type; `None` when it has none."""
    known = hints(function)
    parameters = list(inspect.signature(function).parameters)[1:]
    return next((name for name in parameters if known.get(name) is type_), None)


def of_method(function: Callable[..., Any], own: Mapping[str, Any] | None = None) -> inspect.Signature:
    """The signature of a method as a function, its annotations read where they are texts.

    Args:
        function: the method, unbound.
        own: our own parameters, by name, with their types.
    """
    known = hints(function)
    signature = inspect.signature(function)
    parameters = [
        one.replace(annotation=known.get(one.name, one.annotation), kind=_kind(one))
        for one in list(signature.parameters.values())[1:]
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    for name, type_ in (own or {}).items():
        parameters.append(inspect.Parameter(OWN + name, inspect.Parameter.KEYWORD_ONLY, annotation=type_))
    returned = known.get("return", signature.return_annotation)
    # As FastAPI reads it, `-> None` is no body at all, which some statuses must not have.
    return signature.replace(parameters=parameters, return_annotation=None if returned is type(None) else returned)


def _kind(parameter: inspect.Parameter) -> Any:
    # All are given by name, so that those with defaults may come first.
    return inspect.Parameter.KEYWORD_ONLY
