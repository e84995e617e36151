"""Bodies: JSON, plain or compressed, and what the originals send."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ironbridge._engine import _fabric_decode as decode
from ironbridge._engine import _fabric_encode as encode
from ironbridge.errors import PayloadError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize("codec", ["json", "gzip"])
@given(value=values)
def test_arrives_as_it_was_sent(codec: str, value: Any) -> None:
    assert decode(*encode(value, codec)) == value


@given(values)
def test_is_read_by_the_library_and_read_from_it(value: Any) -> None:
    body, kind = encode(value)
    assert (json.loads(body), kind) == (value, "application/json")
    body, kind = encode(value, "gzip")
    assert (json.loads(gzip.decompress(body)), kind) == (value, "application/octet-stream")
    written = json.dumps(value).encode()
    for body in (written, gzip.compress(written), gzip.compress(written[:1]) + gzip.compress(written[1:])):
        assert decode(body) == value


def test_a_value_that_json_has_not_is_refused_with_the_path_to_it() -> None:
    for codec in ("json", "gzip"):
        with pytest.raises(PayloadError, match=r"value\['x'\]\[1\]: set cannot be written as JSON") as told:
            encode({"x": [0, {1}]}, codec)
        assert told.value.fate == "not sent"


@pytest.mark.parametrize("value", [{"x": [{1}]}, Path("/a"), [1, object], {"é": "\ud800", "y": b"z"}])
def test_or_written_as_its_repr_where_the_originals_do(value: Any) -> None:
    for codec in ("json", "gzip"):
        assert decode(*encode(value, codec, with_repr=True)) == json.loads(json.dumps(value, default=repr))


def test_what_even_then_cannot_be_written_is_refused_as_before() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    loop: list[Any] = []
    loop.append(loop)
    for value in ({(1, 2): 3}, Broken(), loop, {"x": {1}, "y": "z" * 5_000}):
        with pytest.raises(PayloadError):
            encode(value, with_repr=True, max_frame=4_096)


def test_ctrl_c_in_a_repr_is_no_refusal() -> None:
    class Interrupted:
        def __repr__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(Interrupted(), with_repr=True)


def test_a_body_that_would_be_too_large_is_refused_while_it_is_unpacked() -> None:
    bomb = gzip.compress(b" " * (64 << 20))
    with pytest.raises(PayloadError, match=r"a compressed body of more than 65536 bytes \(max_message\)") as told:
        decode(bomb, max_frame=65_536)
    assert told.value.fate == "rejected"
    exact = gzip.compress(json.dumps("x" * 65_534).encode())
    assert decode(exact, max_frame=65_536) == "x" * 65_534


@pytest.mark.parametrize("cut", [2, 5, 12, -9, -1])
def test_a_compressed_body_that_is_cut_off_is_refused(cut: int) -> None:
    body, kind = encode(list(range(100)), "gzip")
    with pytest.raises(PayloadError, match="a compressed body that cannot be read"):
        decode(body[:cut], kind)


@given(st.binary(max_size=64))
def test_bytes_of_anyone_are_read_or_refused(data: bytes) -> None:
    def fate(body: bytes) -> str:
        try:
            decode(body)
        except PayloadError as error:
            return error.fate
        return "read"

    for body in (data, b"\x1f\x8b" + data, b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + data, gzip.compress(data)):
        assert fate(body) in ("read", "rejected")


def test_a_body_of_another_kind_is_told_by_its_kind() -> None:
    with pytest.raises(PayloadError, match=r"^a body of application/python-pickle is not read here; send JSON$"):
        decode(pickle.dumps({"x": 1}), "application/python-pickle")
    for kind in ("application/json", "Application/JSON; charset=utf-8", "application/octet-stream", ""):
        with pytest.raises(PayloadError, match=r"^JSON that cannot be read: .*, at byte 0"):
            decode(b"?", kind)
    # JSON is read whatever it is called.
    assert decode(b"[1]", "text/plain") == [1]
