"""NumPy arrays and scalars."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from bridge.value_samples import arrays, dtypes, encode, round_trip, same, structures
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from ironbridge.errors import PayloadError


@given(arrays(), st.sampled_from([{}, {"out_of_band": 0}]))
def test_any_array_arrives_equal(array: np.ndarray[Any, Any], limits: dict[str, int]) -> None:
    arrived = round_trip(array, **limits)
    assert same(arrived, array)
    if array.flags.c_contiguous or array.flags.f_contiguous:
        assert arrived.flags.c_contiguous == array.flags.c_contiguous
        assert arrived.flags.f_contiguous == array.flags.f_contiguous
    else:
        assert arrived.flags.c_contiguous


@given((dtypes | structures).flatmap(lambda dtype: hnp.from_dtype(np.dtype(dtype))))
def test_any_scalar_arrives_equal_and_of_equal_type(scalar: Any) -> None:
    assert same(round_trip(scalar), scalar)


@pytest.mark.parametrize(
    "scalar",
    [
        np.str_("ab\0"), np.str_(""), np.str_("\ud800"), np.bytes_(b"a\0"), np.bytes_(b""), np.longlong(1),
        np.ulonglong(2**64 - 1), np.longdouble("1.1"), np.clongdouble(1j), np.float16(1.5), np.True_,
        np.datetime64("NaT"), np.datetime64("2020-01-01T00:00", ("s", 25)), np.timedelta64(3, "D"), np.void(b"abc"),
    ],
    ids=lambda scalar: f"{type(scalar).__name__}",
)  # fmt: skip
def test_scalars_that_are_easily_lost(scalar: np.generic) -> None:
    arrived = round_trip(scalar)
    assert type(arrived) is type(scalar)
    assert arrived.dtype == scalar.dtype
    assert arrived == scalar or scalar != scalar


@pytest.mark.parametrize(
    "dtype",
    [
        np.dtype([("a", "i4"), ("b", "M8[ns]", (2, 2)), ("c", [("d", "U3"), ("e", "S2")])]),
        np.dtype([("a", "i1"), ("b", "f8")], align=True),
        np.dtype({"names": ["late", "early"], "formats": ["u2", "u1"], "offsets": [6, 1], "itemsize": 12}),
        np.dtype([("é ,<", ">i4"), (("title", "a"), "u1")]),
        np.dtype([("a", "i4")] * 1 + [(f"f{n}", "i1") for n in range(300)]),
    ],
    ids=["nested", "aligned", "offsets", "names", "many"],
)
def test_structures_keep_their_layout(dtype: np.dtype[Any]) -> None:
    array = np.zeros((2, 3), dtype)
    arrived = round_trip(array)
    assert same(arrived, array)
    assert arrived.dtype.isalignedstruct == dtype.isalignedstruct
    assert same(round_trip(array[0, 0]), array[0, 0])


def test_large_arrays_are_views_of_what_was_received() -> None:
    array = np.arange(100_000, dtype="f4")
    payload, buffers = encode(array)
    assert len(payload) < 40
    assert [type(buffer) for buffer in buffers] == [bytearray]
    arrived = round_trip(array)
    assert not arrived.flags.owndata
    arrived[0] = 5
    assert arrived[0] == 5
    array.flags.writeable = False
    assert [type(buffer) for buffer in encode(array)[1]] == [bytes]
    assert not round_trip(array).flags.writeable


def test_columns_first_are_sent_as_they_lie() -> None:
    array = np.asfortranarray(np.arange(60_000).reshape(200, 300))
    _, buffers = encode(array)
    assert bytes(buffers[0]) == array.T.tobytes()
    assert same(round_trip(array), array)


class Derived(np.ndarray[Any, Any]):
    pass


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros(2, object), "dtype object"),
        (np.zeros(2, [("a", object)]), r"\('a', 'O'\)"),
        (np.zeros(2, "V0"), "dtype"),
        (np.zeros(2, np.dtypes.StringDType()), "StringDType"),
        (np.zeros(2).view(Derived), "Derived"),
        (np.ma.masked_array([1]), "MaskedArray"),
    ],
    ids=["object", "inner-object", "empty-item", "string-dtype", "derived", "masked"],
)
def test_other_arrays_are_refused(array: np.ndarray[Any, Any], reason: str) -> None:
    with pytest.raises(PayloadError, match=reason) as caught:
        round_trip({"x": [array]})
    assert str(caught.value).startswith("value['x'][0]: ")


def test_shapes_must_fit_their_bytes() -> None:
    payload = encode(np.zeros(4, "u1"))[0]
    shape = payload.index(b"\x91\x04")
    for wrong in (b"\x91\x03", b"\x91\x05", b"\x92\x04"):
        with pytest.raises(PayloadError):
            _decode(payload[:shape] + wrong + payload[shape + 2 :])
    assert math.prod(_decode(payload).shape) == 4


def _decode(payload: bytes) -> Any:
    from ironbridge import _engine

    return _engine._decode_value(payload)
