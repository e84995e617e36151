"""Headers beside those of the originals' library: what one writes the other reads, byte for byte of the same types."""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ironbridge._engine import _fabric_table_read as read
from ironbridge._engine import _fabric_table_write as write
from ironbridge.errors import PayloadError
from pamqp import decode, encode

texts = st.text(st.characters(exclude_categories=["Cs"]))
times = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(
    lambda time: time.replace(microsecond=0)
)
decimals = st.builds(
    lambda number, scale: Decimal(number).scaleb(-scale), st.integers(-(2**31), 2**31 - 1), st.integers(0, 20)
)
shared = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | texts
    | times
    | decimals
    | st.floats(width=32, allow_nan=False, allow_infinity=False)
)
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def tables(scalars: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    inner = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=12)
    return st.dictionaries(keys, inner, max_size=8)


@given(tables(shared | st.binary().map(bytearray)))
def test_is_written_as_the_originals_library_writes_it(headers: dict[str, Any]) -> None:
    assert write(headers, single=True) == encode.field_table(headers)


@given(tables(shared.filter(lambda value: not isinstance(value, Decimal) or value >= 0)))
def test_is_read_as_the_originals_library_reads_it(headers: dict[str, Any]) -> None:
    # That library reads a negative Decimal as a large one.
    data = encode.field_table(headers)
    assert read(data) == decode.field_table(data)[1]


@given(tables(shared | st.binary() | st.floats(allow_nan=False, allow_infinity=False)))
def test_arrives_as_it_was_sent(headers: dict[str, Any]) -> None:
    assert read(write(headers)) == headers


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (-128, b"b"),
        (127, b"b"),
        (128, b"s"),
        (-129, b"s"),
        (32_767, b"s"),
        (32_768, b"u"),
        (65_535, b"u"),
        (65_536, b"I"),
        (-32_769, b"I"),
        (2**31 - 1, b"I"),
        (2**31, b"i"),
        (2**32 - 1, b"i"),
        (2**32, b"l"),
        (-(2**31) - 1, b"l"),
        (2**63 - 1, b"l"),
    ],
)
def test_an_int_has_the_least_type_that_holds_it(number: int, kind: bytes) -> None:
    data = write({"n": number})
    assert data[6:7] == kind
    assert read(data) == {"n": number}


def test_values_of_classes_that_derive_from_known_ones_are_written_as_those() -> None:
    class Level(enum.IntEnum):
        HIGH = 3

    class Name(str):
        __slots__ = ()

    class Headers(dict[str, Any]):
        pass

    assert read(write(Headers(level=Level.HIGH, name=Name("x"), flag=True))) == {"level": 3, "name": "x", "flag": True}


def test_a_tuple_arrives_as_a_list_and_bytes_of_either_kind_as_bytes() -> None:
    assert read(write({"a": (1, (2,)), "b": bytearray(b"\xff"), "c": b"\0"})) == {
        "a": [1, [2]],
        "b": b"\xff",
        "c": b"\0",
    }


def test_a_time_is_told_in_whole_seconds_of_utc() -> None:
    east = timezone(timedelta(hours=5))
    naive = datetime(2030, 5, 1, 12, 30, 15, 999_999)
    sent = {"naive": naive, "east": datetime(2030, 5, 1, 17, 30, 15, tzinfo=east)}
    whole = datetime(2030, 5, 1, 12, 30, 15, tzinfo=UTC)
    assert read(write(sent)) == {"naive": whole, "east": whole}


def test_times_that_no_datetime_has_are_ints_and_large_ones_are_milliseconds() -> None:
    def stamped(seconds: int) -> bytes:
        return b"\0\0\0\x0b\x01tT" + seconds.to_bytes(8, "big")

    assert read(stamped(2**64 - 1)) == {"t": 2**64 - 1}
    assert read(stamped(1_900_000_000_500)) == {"t": datetime(2030, 3, 17, 17, 46, 40, 500_000, tzinfo=UTC)}


def test_a_text_that_is_no_utf8_is_bytes() -> None:
    assert read(b"\0\0\0\x09\x01tS\0\0\0\x02\xff\xfe") == {"t": b"\xff\xfe"}


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ([], r"headers: list cannot be a table; give a dict"),
        ({"x": [1, 2, 3, {4}]}, r"headers\['x'\]\[3\]: set cannot be a value in AMQP; give str"),
        ({"x": {"y": object()}}, r"headers\['x'\]\['y'\]: object cannot be"),
        ({1: 2}, r"headers\{…\}: int cannot be a key in AMQP; keys are str"),
        ({"é" * 128: 2}, r"headers\{…\}: a key of 256 bytes; in AMQP it has at most 255"),
        ({"x": 2**63}, r"headers\['x'\]: an int of more than 64 bits"),
        ({"x": "\ud800"}, r"headers\['x'\]: a text that cannot be written as UTF-8"),
        ({"x": datetime(1969, 12, 31)}, r"headers\['x'\]: a time before 1970"),
        ({"x": Decimal("NaN")}, r"headers\['x'\]: AMQP has no Decimal that is infinite or no number"),
        ({"x": Decimal(2**31)}, r"headers\['x'\]: a Decimal of more than 32 bits"),
        ({"x": Decimal("1e-256")}, r"headers\['x'\]: a Decimal of more than 32 bits"),
        ({"x": Decimal("1e999999999")}, r"headers\['x'\]: a Decimal of more than 32 bits"),
        ({"x": "y" * (128 << 10)}, r"headers\['x'\]: the table is longer than 131072 bytes in AMQP"),
    ],
)
def test_what_cannot_be_written_is_told_with_the_path_to_it(headers: object, message: str) -> None:
    with pytest.raises(PayloadError, match=f"^{message}") as told:
        write(headers)
    assert told.value.fate == "not sent"


def test_a_float_too_large_for_four_bytes_is_refused_there() -> None:
    assert read(write({"x": 1e300})) == {"x": 1e300}
    with pytest.raises(PayloadError, match=r"headers\['x'\]: the float 1e300 is too large"):
        write({"x": 1e300}, single=True)


def test_the_longest_key_and_the_deepest_nesting() -> None:
    deep: Any = 1
    for _ in range(15):
        deep = {"d": deep}
    assert read(write({"k" * 255: deep})) == {"k" * 255: deep}
    with pytest.raises(PayloadError, match="nested deeper than 16 levels; does it contain itself"):
        write({"d": deep | {"d": {"d": deep}}})
    loop: dict[str, Any] = {}
    loop["loop"] = [loop]
    with pytest.raises(PayloadError, match="nested deeper"):
        write(loop)


def test_what_is_nested_beyond_reason_is_not_read() -> None:
    data = b""
    for _ in range(70):
        data = b"A" + len(data).to_bytes(4, "big") + data
    data = b"\x01a" + data
    with pytest.raises(PayloadError, match=r"headers\['a'\].*: nested deeper than 64 levels") as told:
        read(len(data).to_bytes(4, "big") + data)
    assert told.value.fate == "rejected"


def test_a_dict_that_changes_while_it_is_written_is_written_as_it_was() -> None:
    headers: dict[str, Any] = {}

    class Time(datetime):
        def utcoffset(self) -> timedelta:
            headers.clear()
            return timedelta(0)

    headers.update(t=Time(2030, 1, 1, tzinfo=UTC), x=1)
    assert read(write(headers)) == {"t": datetime(2030, 1, 1, tzinfo=UTC), "x": 1}
    assert not headers
