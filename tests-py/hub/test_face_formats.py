"""Serializers: the engine's JSON, plain msgpack, and one's own."""

from __future__ import annotations

import datetime
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest
from ironbridge import _engine
from ironbridge.hub import MicroService, PayloadError

from hub.face import Listener, place, running


class Compressed:
    """JSON, compressed."""

    @staticmethod
    def dumps(value: Any) -> bytes:
        return zlib.compress(json.dumps(value).encode())

    @staticmethod
    def loads(data: bytes) -> Any:
        return json.loads(zlib.decompress(data))


class Echo:
    @MicroService.action
    async def echo(self, service: str, data: Any) -> Any:
        return data

    @MicroService.action
    async def unwritable(self, service: str, data: Any) -> Any:
        return object()


@pytest.mark.parametrize(
    ("serializer", "sent", "arrives"),
    [
        (None, {"a": (1, 2.5, None, True, "é\0")}, {"a": [1, 2.5, None, True, "é\0"]}),
        ("json", {1: 2}, {"1": 2}),
        (json, [10**30], [10**30]),
        ("msgpack", {"raw": b"\0\xff", 1: (1, 2)}, {"raw": b"\0\xff", 1: [1, 2]}),
        (Compressed(), {"x": ["y" * 1000]}, {"x": ["y" * 1000]}),
        (pickle, {1, datetime.date(2026, 1, 2)}, {1, datetime.date(2026, 1, 2)}),
    ],
    ids=["default", "json", "json module", "msgpack", "own", "pickle"],
)
async def test_data_crosses_as_its_serializer_says(tmp_path: Path, serializer: Any, sent: Any, arrives: Any) -> None:
    at = place(tmp_path)
    listener = Listener()
    heard, echo = MicroService(listener, **at, serializer=serializer), MicroService(Echo(), **at, serializer=serializer)
    async with running(heard, echo):
        assert await heard.call("echo", sent) == arrives
        assert await heard.call_all("echo", sent) == [("Echo", arrives)]
        await echo.send_broadcast(sent)
        await listener.told.wait(("broadcast", "Echo", arrives))
        await echo.response("Listener", sent)
        await listener.told.wait(("response", "Echo", arrives))


@pytest.mark.parametrize("serializer", ["json", "msgpack"])
async def test_what_cannot_be_written_is_refused_where_it_is_sent(tmp_path: Path, serializer: str) -> None:
    at = place(tmp_path)
    heard, echo = (MicroService(one, **at, serializer=serializer) for one in (Listener(), Echo()))
    async with running(heard, echo):
        with pytest.raises((PayloadError, TypeError)):
            await heard.send_broadcast({"x": [object()]})
        # An answer that cannot be written is its caller's to know of.
        with pytest.raises((PayloadError, TypeError)):
            await heard.call("unwritable")
        assert await heard.call("echo", 1) == 1


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, b"\xc0"),
        (True, b"\xc3"),
        (7, b"\x07"),
        (-1, b"\xff"),
        (2**64 - 1, b"\xcf" + b"\xff" * 8),
        (1.5, b"\xcb\x3f\xf8" + b"\0" * 6),
        ("é", b"\xa2\xc3\xa9"),
        (b"\0", b"\xc4\x01\0"),
        (bytearray(b"\0"), b"\xc4\x01\0"),
        (memoryview(b"\0"), b"\xc4\x01\0"),
        ([1, "a"], b"\x92\x01\xa1a"),
        ((1, "a"), b"\x92\x01\xa1a"),
        ({"a": [1]}, b"\x81\xa1a\x91\x01"),
        (b"x" * 100_000, b"\xc6\0\x01\x86\xa0" + b"x" * 100_000),
    ],
)
def test_msgpack_is_what_every_reader_of_msgpack_knows(value: Any, written: bytes) -> None:
    assert _engine._encode_msgpack(value) == written
    arrives = list(value) if isinstance(value, tuple) else value
    assert _engine._decode_msgpack(written) == arrives


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"x": [1, {1, 2}]}, r"message\['x'\]\[1\]: msgpack has no set"),
        ([datetime.date(2026, 1, 2)], r"message\[0\]: msgpack has no date"),
        (2**64, "more than 64 bits"),
        ("\ud800", "lone surrogates"),
        ({(1, 2): 3}, "a tuple as a key"),
        (object(), "msgpack has no object"),
    ],
)
def test_what_msgpack_has_not_is_told_with_its_place(value: Any, told: str) -> None:
    with pytest.raises(PayloadError, match=told):
        _engine._encode_msgpack(value)


@pytest.mark.parametrize("payload", [b"\xd6\xff\0\0\0\0", b"\xc7\x01\x04\x90", b"\x92\x01", b"\x01\x01", b"\xc1", b""])
def test_msgpack_that_is_not_plain_is_refused(payload: bytes) -> None:
    with pytest.raises(PayloadError):
        _engine._decode_msgpack(payload)
