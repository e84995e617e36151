"""The schema document: signatures, docstrings, classes; the same bytes for the same service."""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
from collections.abc import Callable
from typing import Any, Optional

import ironbridge.bridge as meta
import pytest
from ironbridge import _signatures, service
from ironbridge._bridge.described import Description


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Inner:
    colour: Colour


@dataclasses.dataclass
class Point:
    x: int
    inner: Optional[Inner] = None  # noqa: UP045


class Shapes:
    """Draws shapes.

    Scaled:
        indented.
    """

    def __init__(self, scale: float = 1.0, *names: str, strict: bool = False) -> None:
        pass

    @meta.draw
    def _draw(self, points: list[Point], /, colour: str = "red", *, fill: bool = True, **rest: int) -> dict[str, Point]:
        """Draws."""
        return {}

    @meta.function
    async def later(self, *parts) -> None:  # type: ignore[no-untyped-def]
        pass

    @meta.function
    @staticmethod
    def fixed(a: int) -> int:
        return a


def document() -> dict[str, Any]:
    endpoints = service.collect(Shapes, {"longest": max})
    classes = _signatures.classes([endpoint.function for endpoint in endpoints])
    return service.schema("shapes", Shapes, endpoints, classes)


def test_signatures_and_docstrings() -> None:
    described = Description(document())
    assert described.service == "shapes"
    assert described.doc == "Draws shapes.\n\nScaled:\n    indented."
    assert described.constructor == "(scale: float = 1.0, *names: str, strict: bool = False)"
    draw, later, fixed = (described.endpoints[name] for name in ("draw", "later", "fixed"))
    assert draw.signature == (
        "(points: list[Point], /, colour: str = 'red', *, fill: bool = True, **rest: int) -> dict[str, Point]"
    )
    assert (draw.doc, draw.aliases, draw.coroutine, draw.kind) == ("Draws.", ("_draw",), False, "instance")
    assert (later.signature, later.coroutine) == ("(*parts) -> None", True)
    assert (fixed.signature, fixed.kind) == ("(a: int) -> int", "static")
    assert described.names() == ["draw", "later", "fixed", "longest"]
    assert "  draw(points: list[Point], /" in str(described)
    assert "      also: _draw" in str(described)


def test_every_name_has_a_number_of_its_own_and_aliases_come_last() -> None:
    entries = document()["endpoints"]
    assert [entry["id"] for entry in entries] == list(range(len(entries)))
    assert [entry["name"] for entry in entries] == ["draw", "later", "fixed", "longest", "_draw"]
    assert entries[-1]["alias_of"] == "draw"


def test_the_document_is_canonical() -> None:
    made = service.encode(document())
    assert made == service.encode(json.loads(made))
    plain = json.dumps(json.loads(made), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert made == plain.encode()
    odd = {'é"\n\u2028': [None, True, 1, {"b": [], "a": "\\x"}]}
    assert json.loads(service.encode(odd)) == odd
    assert b" at 0x" not in made
    assert b'": ' not in made


def test_classes_that_signatures_name_and_what_their_fields_name() -> None:
    found = _signatures.classes([Shapes._draw])
    assert set(found.values()) == {Point, Inner, Colour}
    assert all(path == f"{kind.__module__}:{kind.__qualname__}" for path, kind in found.items())


def test_an_annotation_for_type_checkers_only_is_passed_over() -> None:
    def endpoint(missing: NotThere, point: Point) -> None:  # type: ignore[name-defined]  # noqa: F821
        pass

    assert set(_signatures.classes([endpoint]).values()) == {Point, Inner, Colour}


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def around(*args: Any) -> Any:
        return function(*args)

    return around


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (wrapped(lambda a, b=2: a), "(a, b=2)"),
        (functools.partial(int, base=2), None),
        (Point(1).__repr__, "()"),
        (max, "(...)"),
        (json.dumps, None),
    ],
)
def test_callables_of_every_sort_have_a_signature(function: Callable[..., Any], expected: str | None) -> None:
    parameters = _signatures.signature(function)
    document = {
        "service": "x",
        "endpoints": [{"name": "f", "kind": "function", **parameters}],
    }
    signature = Description(document).endpoints["f"].signature
    assert signature.startswith("(")
    assert expected is None or signature == expected


def test_coroutines_are_recognised() -> None:
    async def coroutine() -> None: ...

    class Callable_:
        async def __call__(self) -> None: ...

    assert _signatures.is_coroutine(coroutine)
    assert _signatures.is_coroutine(functools.partial(coroutine))
    assert _signatures.is_coroutine(Callable_())
    assert not _signatures.is_coroutine(max)
    assert not _signatures.is_coroutine(wrapped(coroutine))
