"""What controllers and models say of their TypeScript."""

from __future__ import annotations

from typing import Any

from ..reflect.decorators import StackableDecorator


class ExposeType(StackableDecorator):
    """Has a type be in the TypeScript of every application that imports it, though no endpoint has it."""

    known: list[Any] = []  # noqa: RUF012 - of all applications of the process

    def decorated(self, subject: Any) -> None:
        """Remembers it."""
        ExposeType.known.append(subject)


class SplitInputOutput(StackableDecorator):
    """Has a model be two in TypeScript: `ModelInput`, whose defaults are optional, and `ModelOutput`, which has all."""


class QueryEndpoint(StackableDecorator):
    """Has clients with hooks read an endpoint as a query.

    Args:
        has_infinite_query: whether page after page, too.
    """

    def __init__(self, has_infinite_query: bool = False) -> None:
        self.has_infinite_query = has_infinite_query


class MutationEndpoint(StackableDecorator):
    """Has clients with hooks use an endpoint as a mutation."""
