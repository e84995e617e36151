"""Hooks of a controller: its queries and mutations, for clients of `@jararaca/core`."""

from __future__ import annotations

from typing import Any

from ..reflect.decorators import members
from .decorators import MutationEndpoint, QueryEndpoint
from .naming import client_method, quoted


def hooks_of(controller: type[Any]) -> str:
    """The constant with a controller's hooks; empty when it has none. Methods that are queries and mutations both are
    in it under `queries`, `mutations` and `infiniteQueries`."""
    queries, infinite, mutations = [], [], []
    for name, _ in members(controller):
        query = QueryEndpoint.get_bound_from_method(controller, name)
        if query is not None:
            queries.append(client_method(name))
            if query.has_infinite_query:
                infinite.append(client_method(name))
        if MutationEndpoint.get_bound_from_method(controller, name) is not None:
            mutations.append(client_method(name))
    both = set(queries) & set(mutations)
    of = controller.__name__
    entries = [
        *_called("createClassQueryHooks", of, [one for one in queries if one not in both]),
        *_infinite(of, [one for one in infinite if one not in both]),
        *_called("createClassMutationHooks", of, [one for one in mutations if one not in both]),
        *_under("queries", _called("createClassQueryHooks", of, [one for one in queries if one in both])),
        *_under("mutations", _called("createClassMutationHooks", of, [one for one in mutations if one in both])),
        *_under("infiniteQueries", _infinite(of, [one for one in infinite if one in both])),
    ]
    body = "".join(f"  {line}\n" for line in entries)
    return f"export const {of[:1].lower()}{of[1:]} = {{\n{body}}};" if entries else ""


def _called(function: str, of: str, names: list[str]) -> list[str]:
    return [f"...{function}({of},", *(f"  {quoted(one)}," for one in names), "),"] if names else []


def _infinite(of: str, names: list[str]) -> list[str]:
    pages = [f"  {quoted(one)}: paginationModelByFirstArgPaginationFilter()," for one in names]
    return [f"...createClassInfiniteQueryHooks({of}, {{", *pages, "}),"] if names else []


def _under(name: str, lines: list[str]) -> list[str]:
    return [f"{name}: {{", *(f"  {line}" for line in lines), "},"] if lines else []
