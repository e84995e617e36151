"""The canonical form: equal arguments, equal bytes."""

from __future__ import annotations

import copy
import itertools
import random
from typing import Any

from bridge.value_samples import EXAMPLES, Frozen, Point, opened, same, values
from hypothesis import given
from hypothesis import strategies as st
from ironbridge import _engine
from ironbridge._engine import _canonical as canonical


def shuffled(value: Any, rng: random.Random) -> Any:
    """The same value with its dicts and sets made in another order."""
    match value:
        case dict():
            pairs = [(key, shuffled(inner, rng)) for key, inner in value.items()]
            rng.shuffle(pairs)
            return dict(pairs)
        case set() | frozenset():
            items = list(value)
            rng.shuffle(items)
            return type(value)(items)
        case list() | tuple():
            return type(value)(shuffled(inner, rng) for inner in value)
        case Point():
            return Point(shuffled(value.x, rng), shuffled(value.y, rng))
    return value


@given(values, st.randoms(use_true_random=False))
def test_equal_arguments_have_equal_bytes(value: Any, rng: random.Random) -> None:
    assert canonical((shuffled(value, rng),)) == canonical((value,))


@given(values)
def test_copies_have_equal_bytes(value: Any) -> None:
    assert canonical((value,)) == canonical((copy.copy(value),))


def test_values_that_differ_have_other_bytes() -> None:
    distinct: list[Any] = []
    for value in EXAMPLES:
        if not any(same(value, other) for other in distinct):
            distinct.append(value)
    forms = [canonical((value,)) for value in distinct]
    for one, other in itertools.combinations(range(len(forms)), 2):
        assert forms[one] != forms[other], (distinct[one], distinct[other])


def test_types_tell_numbers_apart() -> None:
    forms = {
        canonical((value,)) for value in (1, 1.0, True, "1", b"1", bytearray(b"1"), (1,), [1], {1}, frozenset({1}))
    }
    assert len(forms) == 10


def test_keyword_arguments_in_any_order() -> None:
    assert canonical((1,), {"a": 1, "b": 2}) == canonical((1,), {"b": 2, "a": 1})
    assert canonical((1,), {}) == canonical((1,))
    assert canonical((1, 2)) != canonical((1,), {"b": 2})


def test_sets_whatever_their_history() -> None:
    numbers = set(range(1_000))
    grown = set()
    for number in reversed(range(1_000)):
        grown.add(number)
        grown.add(-number - 1)
    assert canonical((numbers,)) == canonical(({number for number in grown if number >= 0},))


def test_large_buffers_are_inside() -> None:
    assert len(canonical((bytes(100_000),))) > 100_000


def test_models_with_extra_fields_in_any_order() -> None:
    assert canonical((opened(a=1, b=2),)) == canonical((opened(b=2, a=1),))


def test_it_can_be_decoded_as_arguments() -> None:
    args, kwargs = ([{"b": {3, 1, 2}, "a": Frozen("x")}], b"y" * 70_000), {"k": 1.5}
    assert _engine._decode_arguments(canonical(args, kwargs)) == (args, kwargs)
