"""Compressed bodies between ours and the originals' `JsonGZipRPC`, each way."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from harness import RabbitMQ

from fabric.actors import ORIGINAL, OURS, PATTERN, Codec, Failed, Library, Raw, Service
from fabric.meeting import PAIRS, Pair, meeting, name_of, place

LIBRARIES: list[Library] = [OURS, ORIGINAL, PATTERN]


@pytest.fixture(scope="module", params=PAIRS, ids=name_of)
def gzipped(request: pytest.FixtureRequest, rabbitmq: RabbitMQ) -> Iterator[Pair]:
    """A server and a caller, one of them ours, that both compress."""
    server, caller = request.param
    with place(rabbitmq) as uri, meeting(server, caller, uri, codec="gzip") as met:
        yield met


@pytest.mark.parametrize(
    "value", [None, 0, 1.5, "olá \U0001f680", [1, {"a": None}], "é" * 200_000], ids=lambda v: repr(v)[:20]
)
@pytest.mark.parametrize("method", ["echo", "aecho"])
def test_a_compressed_value_comes_back(gzipped: Pair, method: str, value: Any) -> None:
    assert gzipped.call(method, value=value) == value


def test_a_compressed_error_reaches_the_caller(gzipped: Pair) -> None:
    with pytest.raises(Failed) as failed:
        gzipped.call("fail", kind="ValueError", given=["olá", 3])
    told = " ".join(failed.value.kinds) + failed.value.given
    assert "ValueError" in told
    assert "olá" in told


def test_many_compressed_calls_at_once(gzipped: Pair) -> None:
    given = [{"value": "x" * number} for number in range(100)]
    assert gzipped.caller.do("calls", gzipped.server.address, "aecho", given) == ["x" * number for number in range(100)]


@pytest.mark.parametrize(("caller", "codec"), [(ORIGINAL, "json"), (PATTERN, "gzip")])
def test_our_server_answers_in_the_codec_of_the_call(vhost: str, caller: Library, codec: Codec) -> None:
    other: Codec = "gzip" if codec == "json" else "json"
    with (
        Service(OURS, vhost, "server", serve=True, codec=other) as server,
        Service(caller, vhost, "caller", codec=codec) as one,
    ):
        server.wait("up")
        one.wait("up")
        assert one.call(server, "multiply", x=3, y="é") == "ééé"
        with pytest.raises(Failed) as failed:
            one.call(server, "fail", kind="KeyError", given=["k"])
        assert "KeyError" in " ".join(failed.value.kinds) + failed.value.given


def test_on_the_wire_they_are_alike(vhost: str) -> None:
    with ExitStack() as stack:
        raw = stack.enter_context(Raw(vhost))
        services = [stack.enter_context(Service(one, vhost, one[:4], codec="gzip", serve=True)) for one in LIBRARIES]
        for service in services:
            service.wait("up")
            name = service.name
            raw.do("serve", f"call of {name}", f"shop.api.raw.{name}", "multiply")
            service.begin("call", ("shop", name, "raw"), "multiply", {"x": 2})
            body = gzip.compress(json.dumps({"x": 2, "y": 4}).encode())
            given = {"content_type": "application/octet-stream", "message_type": "call", "headers": {}}
            raw.do("ask", f"answer of {name}", service.exchange, "multiply", body, given)
            call, answer = raw.packet(f"call of {name}"), raw.packet(f"answer of {name}")
            for packet in (call, answer):
                assert packet.properties["content_type"] == "application/octet-stream"
                assert "content_encoding" not in packet.properties
                assert packet.body.startswith(b"\x1f\x8b\x08\x00")
            assert json.loads(gzip.decompress(call.body)) == {"x": 2}
            assert json.loads(gzip.decompress(answer.body)) == 8
            assert answer.properties["message_type"] == "result"
