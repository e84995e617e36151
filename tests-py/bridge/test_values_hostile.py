"""Hostile bytes: never a crash, never growth, and nothing but a value or a refusal."""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from bridge.value_samples import EXAMPLES, VIEWS, encode, resident
from hypothesis import given
from hypothesis import strategies as st
from ironbridge import _engine
from ironbridge.errors import PayloadError

from bridge import msgpack_tree as tree

type_codes = range(24)
MARKERS = [*range(0x80, 0x100, 3), *range(0xC0, 0xE0)]
LENGTHS = [0, 1, 15, 16, 255, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1]


def captures() -> list[tuple[bytes, list[bytes | bytearray]]]:
    arrays: list[Any] = [
        np.arange(6).reshape(2, 3), np.zeros(3, [("a", "i4"), ("b", "M8[s]", (2,))]), np.float32(1), np.str_("x"),
    ]  # fmt: skip
    small = [value for value in [*EXAMPLES, *VIEWS, *arrays] if len(encode(value)[0]) < 300]
    taken = [encode(value) for value in small]
    taken += [encode(small[start : start + 5], out_of_band=64) for start in range(0, len(small), 5)]
    return taken


def decode(payload: bytes, buffers: list[bytes | bytearray]) -> None:
    try:
        value = _engine._decode_value(payload, buffers, max_items=100_000)
    except PayloadError:
        return
    assert type(value).__name__


def mutate(rng: random.Random, payload: bytes, others: list[bytes]) -> bytes:
    """One change that knows what the bytes mean."""
    data = bytearray(payload or b"\0")
    at = rng.randrange(len(data))
    match rng.randrange(9):
        case 0:
            data[at] ^= 1 << rng.randrange(8)
        case 1:
            data[at] = rng.choice(MARKERS)
        case 2:
            del data[at:]
        case 3:
            del data[at : at + rng.randrange(1, 5)]
        case 4:
            data[at:at] = rng.choice(others)
        case 5:
            other = rng.choice(others)
            data[at:] = other[rng.randrange(len(other) or 1) :]
        case 6:
            marker, form = rng.choice(
                [(0xDD, ">I"), (0xDF, ">I"), (0xC6, ">I"), (0xDB, ">I"), (0xDC, ">H"), (0xDE, ">H")]
            )
            length = min(rng.choice(LENGTHS), 2**16 - 1 if form == ">H" else 2**32 - 1)
            data[at : at + 1] = bytes([marker]) + struct.pack(form, length)
        case 7:
            inner = bytes(data)
            data = bytearray(b"\xc9" + struct.pack(">I", len(inner)) + bytes([rng.choice(type_codes)]) + inner)
        case 8:
            data[at:at] = bytes([0xC7, rng.randrange(256), rng.choice(type_codes)])
    return bytes(data)


def mutants(seed: int, count: int) -> Iterator[tuple[bytes, list[bytes | bytearray]]]:
    """Of captures: most are well formed and say something else, some are broken in their bytes."""
    rng = random.Random(seed)
    seeds = captures()
    others = [payload for payload, _ in seeds]
    parts = [part for payload in others for node in tree.parse(payload) for part in tree.walk(node)]
    for _ in range(count):
        payload, buffers = rng.choice(seeds)
        payload = tree.mutant(rng, payload, parts) if rng.random() < 0.7 else mutate(rng, payload, others)
        yield payload, buffers if rng.random() < 0.9 else [bytes(8), bytearray(8)]


def storm(count: int) -> None:
    growths = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of some spellings of dtypes
        for quarter in range(4):
            before = resident()
            for payload, buffers in mutants(quarter, count // 4):
                decode(payload, buffers)
            growths.append(resident() - before)
    # Over the second half. Memory comes in steps of a megabyte: what leaks takes one in both quarters.
    assert min(growths[2:]) < 1 << 20


def test_mutated_values_are_read_or_refused_and_nothing_grows() -> None:
    storm(60_000)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_a_million_mutated_values() -> None:
    storm(1_000_000)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    decode(payload, [])


_ALONE = [payload for payload, buffers in captures()[::5] if not buffers]


@pytest.mark.parametrize("at", range(len(_ALONE)))
def test_every_shorter_form_is_refused(at: int) -> None:
    payload = _ALONE[at]
    for end in range(len(payload)):
        with pytest.raises(PayloadError):
            _engine._decode_value(payload[:end])
    with pytest.raises(PayloadError, match="more was received"):
        _engine._decode_value(payload + b"\0" if payload else b"")


@pytest.mark.parametrize("marker", [0xDD, 0xDF, 0xDB, 0xC6, 0xC9], ids=hex)
def test_a_claimed_length_allocates_nothing(marker: int) -> None:
    for length in (10**6, 2**31, 2**32 - 1):
        payload = bytes([marker]) + struct.pack(">I", length) + b"\x04" * 16
        tracemalloc.start()
        try:
            with pytest.raises(PayloadError):
                _engine._decode_value(payload)
            assert tracemalloc.get_traced_memory()[1] < 100_000
        finally:
            tracemalloc.stop()


def test_nested_claims_stay_within_the_items() -> None:
    size = 20_000
    payload = b"".join(b"\xdd" + struct.pack(">I", size - 5 * level - 5) for level in range(60)).ljust(size, b"\xc0")
    with pytest.raises(PayloadError):
        _engine._decode_value(payload)
    with pytest.raises(PayloadError, match="max_items"):
        _engine._decode_value(payload, max_items=size * 2)


@pytest.mark.parametrize(
    "level",
    [b"\x91", b"\x81\xc0", b"\xc7\xff\x04\x91", b"\xc9\x00\x0f\xff\xff\x06\x91"],
    ids=["list", "dict", "tuple", "frozenset"],
)
def test_depth_is_bounded_before_the_stack_is(level: bytes) -> None:
    with pytest.raises(PayloadError):
        _engine._decode_value(level * 100_000)
    with pytest.raises(PayloadError):
        _engine._decode_value(level * 100_000, max_depth=512)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\x82\x01\xc0\x01\xc0", "same key twice"),
        (b"\x82\x01\xc0\xc3\xc0", "same key twice"),
        (b"\x81\x90\xc0", "a key that a dict cannot have"),
        (b"\xc7\x03\x05\x92\x01\x01", "same item twice"),
        (b"\xc7\x02\x05\x91\x90", "an item that a set cannot have"),
        (b"\xa1\xff", "not UTF-8"),
        (b"\xc1", "not what belongs here"),
        (b"\xd4\x7f\x00", "unknown extension type 127"),
        (b"\xd6\x13\x00\x00\x00\x00", "no buffer 0"),
        (b"\xc7\x04\x0b1_00", "Decimal"),
        (b"\xd4\x0c\x00", "UUID"),
        (b"\xd4\x02\x00", "complex"),
        (b"\xc7\x02\x04\x90\x90", "not what belongs here"),
        (b"\xc7\x06\x08\x93\x01\x02\xcd\x01\x00", "a time that does not exist"),
    ],
    ids=lambda part: part if isinstance(part, str) else None,
)
def test_bytes_that_say_nothing_are_refused(payload: bytes, reason: str) -> None:
    with pytest.raises(PayloadError, match=reason):
        _engine._decode_value(payload)


def test_each_buffer_is_named_once() -> None:
    reference = b"\xd6\x13\x00\x00\x00\x00"
    assert _engine._decode_value(reference, [b"x"]) == b"x"
    with pytest.raises(PayloadError, match="no buffer 0"):
        _engine._decode_value(b"\x92" + reference + reference, [b"x"])
    with pytest.raises(PayloadError, match="more was received"):
        _engine._decode_value(reference, [b"x", b"y"])


@pytest.mark.parametrize("key", ["../../etc/passwd", "/etc/localtime", "a.b", "x" * 256, "Europe/Nowhere"])
def test_zones_name_no_files(key: str) -> None:
    text = key.encode()
    zone = (bytes([0xA0 | len(text)]) if len(text) < 32 else b"\xda" + struct.pack(">H", len(text))) + text
    content = b"\x99\xcd\x07\xe8\x01\x01\x00\x00\x00\x00\x00" + zone
    payload = b"\xc8" + struct.pack(">H", len(content)) + b"\x07" + content
    with pytest.raises(PayloadError, match="time zone"):
        _engine._decode_value(payload)


@pytest.mark.parametrize("dtype", ["O", "|O", "f8,i4", "T", "(2,)f8", "datetime64", "a:b", "object", "V0", "<f8 "])
def test_dtypes_are_plain(dtype: str) -> None:
    text = dtype.encode()
    content = b"\x95" + bytes([0xA0 | len(text)]) + text + b"\x91\x00\xc2\xc2\xc4\x00"
    payload = b"\xc7" + bytes([len(content)]) + b"\x11" + content
    if dtype == "datetime64":
        assert _engine._decode_value(payload).shape == (0,)
        return
    with pytest.raises(PayloadError):
        _engine._decode_value(payload)


def test_a_refusal_costs_little() -> None:
    payload = b"\x91" * 60 + b"\xc1"
    began = time.perf_counter()
    for _ in range(1_000):
        with pytest.raises(PayloadError):
            _engine._decode_value(payload)
    assert time.perf_counter() - began < 5
