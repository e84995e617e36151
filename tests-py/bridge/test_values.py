"""What crosses the bridge arrives equal and of equal type."""

from __future__ import annotations

import mmap
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from bridge.value_samples import (
    EXAMPLES,
    VIEWS,
    Numbers,
    Order,
    Point,
    encode,
    opened,
    resident,
    round_trip,
    same,
    values,
)
from hypothesis import given
from ironbridge import _engine
from ironbridge.errors import PayloadError


@pytest.mark.parametrize("value", EXAMPLES, ids=[f"{at}-{type(value).__name__}" for at, value in enumerate(EXAMPLES)])
def test_examples_arrive_equal_and_of_equal_type(value: Any) -> None:
    assert same(round_trip(value), value)
    assert same(round_trip([value, {"k": (value,)}]), [value, {"k": (value,)}])


@given(values)
def test_any_value_arrives_equal_and_of_equal_type(value: Any) -> None:
    assert same(round_trip(value), value)


@given(values)
def test_buffers_of_any_size_may_travel_beside_the_payload(value: Any) -> None:
    assert same(round_trip(value, out_of_band=0), value)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: f"{view.format}{view.shape}")
@pytest.mark.parametrize("limits", [{}, {"out_of_band": 0}], ids=["inline", "beside"])
def test_memoryviews_arrive_with_their_items_and_shape(view: memoryview, limits: dict[str, int]) -> None:
    arrived = round_trip(view, **limits)
    assert same(arrived, view)
    assert arrived.format == view.format or arrived.itemsize == view.itemsize


def test_other_exporters_arrive_as_a_memoryview() -> None:
    with mmap.mmap(-1, 10) as shared:
        shared[:] = b"0123456789"
        arrived = round_trip(shared)
    assert type(arrived) is memoryview
    assert arrived == b"0123456789"
    arrived[0] = 65
    assert arrived[0] == 65


def test_arguments_arrive_in_place() -> None:
    payload, buffers = _engine._encode_arguments((1, "two", [3]), {"four": 4, "pět": bytes(70_000)})
    assert _engine._decode_arguments(payload, buffers) == ((1, "two", [3]), {"four": 4, "pět": bytes(70_000)})
    assert _engine._decode_arguments(payload, buffers, "self")[0] == ("self", 1, "two", [3])
    assert _engine._decode_arguments(_engine._encode_arguments(())[0]) == ((), None)
    assert _engine._decode_arguments(_engine._encode_arguments((), {})[0], leading=5) == ((5,), None)


def test_dicts_keep_their_order() -> None:
    names = {str(number): number for number in (3, 1, 2)}
    assert list(round_trip(names)) == ["3", "1", "2"]


def test_shared_values_arrive_apart() -> None:
    one: list[int] = []
    first, second = round_trip([one, one])
    assert first is not second


def test_large_buffers_stand_beside_the_payload() -> None:
    payload, buffers = encode([bytes(65_536), bytearray(65_536), memoryview(bytes(65_536)), bytes(65_535)])
    assert len(payload) < 65_536 + 100
    assert [type(buffer) for buffer in buffers] == [bytes, bytearray, bytes]


def test_more_buffers_than_fit_beside_go_inside() -> None:
    value = [bytes([number % 256]) * 10 for number in range(1_500)]
    assert len(encode(value, out_of_band=1)[1]) == 1_024
    assert round_trip(value, out_of_band=1) == value


def test_an_owner_stays_locked_only_while_it_is_sent() -> None:
    owner = bytearray(100_000)
    round_trip(owner)
    owner.append(1)
    assert len(owner) == 100_001


def test_models_keep_what_was_set_and_what_is_private() -> None:
    order = Order(id=1)
    order._secret = 9
    arrived = round_trip(order)
    assert arrived.model_fields_set == {"id"}
    assert arrived._secret == 9
    assert arrived.model_dump() == order.model_dump()
    assert round_trip(opened(other=1)).model_extra == {"other": 1}
    assert round_trip(Numbers([1])).root == [1]


def test_invalid_models_arrive_as_they_are() -> None:
    broken = Order.model_construct(id="not a number")
    with pytest.warns(UserWarning, match="serializ"):
        assert round_trip(broken).model_dump() == {"id": "not a number", "lines": []}


def test_nothing_is_imported_to_encode_common_values() -> None:
    program = """
import sys
from ironbridge import _engine
from ironbridge.errors import PayloadError
before = set(sys.modules)
value = [None, True, 1, 2**80, 1.5, "x", b"x", bytearray(b"x"), [1], (1,), {1: 2}, {1}, 1j]
assert _engine._decode_value(_engine._encode_value(value)[0]) == value
print(sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_no_reference_is_kept() -> None:
    value, refused = [*EXAMPLES, np.arange(3), np.float32(1)], [{"x": Point([print])}]

    def use() -> None:
        round_trip(value)
        _engine._canonical((value,))
        with pytest.raises(PayloadError):
            encode(refused)

    use()
    # Not of what everyone shares, such as None.
    own = [one for one in (*value, *refused, Point, Order) if sys.getrefcount(one) < 100]
    before = [sys.getrefcount(one) for one in own]
    for _ in range(20):
        use()
    assert [sys.getrefcount(one) for one in own] == before
    assert len(own) > 100
    blocks, growths = sys.getallocatedblocks(), []
    for _ in range(3):
        start = resident()
        for _ in range(20):
            use()
        growths.append(resident() - start)
    assert sys.getallocatedblocks() - blocks < 100
    # Memory comes in steps of a megabyte: what leaks takes one in every round.
    assert min(growths) < 1 << 20


def test_threads_encode_what_others_change() -> None:
    """What is changed meanwhile is refused or sent as it was at some moment; the process lives on."""
    shared: dict[Any, Any] = {number: Point(number, [number]) for number in range(50)}
    stop, refusals = threading.Event(), set[str]()

    def change() -> None:
        number = 50
        while not stop.is_set():
            shared.pop(next(iter(shared)))
            shared[number] = Point(number, [number])
            number += 1

    thread = threading.Thread(target=change)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        for _ in range(300):
            try:
                payload = encode(shared)[0]
            except PayloadError as error:
                refusals.add(str(error))
            else:
                assert len(_engine._decode_value(payload)) in (49, 50)
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert all("changed while" in refusal for refusal in refusals)
