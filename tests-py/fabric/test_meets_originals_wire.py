"""What ours send, beside what the originals send: each property of each kind of message, as a third peer sees it."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from harness import RabbitMQ

from fabric.actors import ORIGINAL, OURS, PATTERN, Library, Packet, Raw, Service
from fabric.meeting import place

HEXADECIMAL = re.compile("[0-9a-f]{32}")
LIBRARIES: list[Library] = [OURS, ORIGINAL, PATTERN]


class Ground:
    """One service of each make, and a raw peer, at one broker."""

    def __init__(self, uri: str, raw: Raw, services: dict[Library, Service]) -> None:
        self.uri, self.raw, self.services = uri, raw, services
        self._numbers = itertools.count()

    def calls(self, library: Library, method: str, **given: Any) -> Packet:
        """A call as it leaves a caller of that make; it is not answered."""
        served = f"served-{next(self._numbers)}"
        self.raw.do("serve", served, f"shop.api.raw.{served}", method)
        self.services[library].begin("call", ("shop", served, "raw"), method, given)
        return self.raw.packet(served)

    def answers(self, library: Library, method: str, body: object, **properties: Any) -> Packet:
        """An answer as it leaves a server of that make."""
        label = f"asked-{next(self._numbers)}"
        given = {"content_type": "application/json", "message_type": "call", "headers": {}, **properties}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.raw.do("ask", label, self.services[library].exchange, method, data, given)
        return self.raw.packet(label)


@pytest.fixture(scope="module")
def ground(rabbitmq: RabbitMQ) -> Iterator[Ground]:
    with (
        place(rabbitmq) as uri,
        Raw(uri) as raw,
        Service(OURS, uri, "ours", serve=True) as ours,
        Service(ORIGINAL, uri, "original", serve=True) as original,
        Service(PATTERN, uri, "pattern", serve=True) as pattern,
    ):
        services: dict[Library, Service] = {OURS: ours, ORIGINAL: original, PATTERN: pattern}
        for service in services.values():
            service.wait("up")
        yield Ground(uri, raw, services)


def same(ours: Packet, original: Packet, *apart: str, more: Collection[str] = ()) -> None:
    """Each property is there where the original has it, with the same value, but for those that are named."""
    assert set(ours.properties) == {*original.properties, *more}
    for name in set(original.properties) - set(apart) - {"timestamp", "message_id"}:
        assert ours.properties[name] == original.properties[name], name
    assert HEXADECIMAL.fullmatch(original.properties["message_id"])
    assert HEXADECIMAL.fullmatch(ours.properties["message_id"])
    if "timestamp" in ours.properties:
        said: datetime = ours.properties["timestamp"]
        assert abs(datetime.now(UTC) - said) < timedelta(minutes=1)


@pytest.mark.parametrize("original", [ORIGINAL, PATTERN])
def test_a_call(ground: Ground, original: Library) -> None:
    ours, theirs = (ground.calls(library, "multiply", x=2, y="é") for library in (OURS, original))
    same(ours, theirs, "correlation_id", "reply_to", "headers", more={"expiration"})
    assert ours.json == theirs.json == {"x": 2, "y": "é"}
    for packet in (ours, theirs):
        assert packet.exchange.startswith("shop.api.raw.served-")
        assert packet.routing_key == f"{packet.exchange}::multiply"
    assert set(ours.headers) == set(theirs.headers) == {"From"}
    assert all(
        isinstance(one.properties[name], str) for one in (ours, theirs) for name in ("correlation_id", "reply_to")
    )
    assert ours.headers["From"] == "shop.till.ours"
    assert 0 < int(ours.properties["expiration"]) <= 300_000


@pytest.mark.parametrize("original", [ORIGINAL, PATTERN])
@pytest.mark.parametrize(
    ("method", "given", "result"),
    [("multiply", {"x": 2, "y": 4}, 8), ("aecho", {}, None), ("echo", {"value": ["é", {"a": 1.5}]}, ["é", {"a": 1.5}])],
)
def test_an_answer(ground: Ground, original: Library, method: str, given: dict[str, Any], result: Any) -> None:
    ours, theirs = (ground.answers(library, method, given, correlation_id="c-1") for library in (OURS, original))
    same(ours, theirs)
    assert ours.properties["message_type"] == "result"
    assert ours.exchange == theirs.exchange == ""
    assert ours.json == theirs.json == result


@pytest.mark.parametrize("original", [ORIGINAL, PATTERN])
@pytest.mark.parametrize(("kind", "given"), [("ValueError", ["bad", 3]), ("KeyError", [None]), ("Known", ["x"])])
def test_an_error(ground: Ground, original: Library, kind: str, given: list[Any]) -> None:
    body = {"kind": kind, "given": given}
    ours, theirs = (ground.answers(library, "fail", body, correlation_id="c-2") for library in (OURS, original))
    same(ours, theirs)
    assert ours.properties["message_type"] == "error"
    told, expected = ours.json["error"], theirs.json["error"]
    assert set(expected) == {"type", "message", "args"}
    for name in expected:
        if (original, kind, name) == (PATTERN, "Known", "type"):
            # The pattern itself says the bare name alone.
            assert told[name] == f"__main__.{expected[name]}"
        else:
            assert told[name] == expected[name]
    assert "raise KINDS" in told["traceback"]


@pytest.mark.parametrize("original", [ORIGINAL, PATTERN])
def test_a_call_without_a_correlation_id_is_answered_without_one(ground: Ground, original: Library) -> None:
    ours, theirs = (ground.answers(library, "multiply", {"x": 1}) for library in (OURS, original))
    same(ours, theirs)
    assert "correlation_id" not in ours.properties


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1]", b"null", b"\x80", b'{"x": 1, "zz": 2}', b'{"self": 1, "x": 1}'], ids=repr
)
def test_a_call_that_makes_no_sense_is_answered_with_an_error(ground: Ground, body: bytes) -> None:
    ours, theirs = (ground.answers(library, "multiply", body, correlation_id="c-3") for library in (OURS, ORIGINAL))
    same(ours, theirs)
    assert ours.properties["message_type"] == "error"
    assert set(ours.json["error"]) >= {"type", "message", "args"}
    if body.startswith(b"{") and body != b"{":
        assert ours.json["error"]["type"] == theirs.json["error"]["type"] == "TypeError"
    # The server is as good as before.
    assert ground.answers(OURS, "multiply", {"x": 3}, correlation_id="c-4").json == 6


def test_data(ground: Ground) -> None:
    ground.raw.do("watch", "data", "shop.data", {"test": "wire"})
    headers = {"test": "wire", "n": 5, "f": 0.1, "t": True, "none": None, "table": {"a": [1, "x"]}}
    for count, library in enumerate((OURS, ORIGINAL), 1):
        ground.services[library].do("publish", b"\x00body", headers)
        ground.raw.packet("data", count)
    ours, theirs = (ground.raw.packet("data", count) for count in (1, 2))
    same(ours, theirs, "headers", more={"timestamp"})
    assert ours.body == theirs.body == b"\x00body"
    assert ours.routing_key == theirs.routing_key == ""
    assert ours.headers == {**theirs.headers, "service_id": "ours"}


def test_a_keep_alive(ground: Ground) -> None:
    packets = []
    for library in (OURS, ORIGINAL):
        with Service(library, ground.uri, f"beats-{library[:4]}", keep_alive=0.2) as service:
            service.wait("up")
            ground.raw.do("watch", library, "msc.discovery", {"msg_type": "keep_alive", "service_id": service.name})
            packets.append(ground.raw.packet(library))
    ours, theirs = packets
    same(ours, theirs, "headers")
    assert ours.body == theirs.body == b""
    assert ours.routing_key == theirs.routing_key == ""
    assert set(theirs.headers) == {"msg_type", "service_domain", "service_id", "service_type"}
    assert {name: ours.headers[name] for name in theirs.headers} == {**theirs.headers, "service_id": "beats-iron"}


def test_a_log_record(ground: Ground) -> None:
    packets = []
    for library in (OURS, ORIGINAL):
        service = ground.services[library]
        ground.raw.do("watch", f"log of {library}", "shop.log.records", {"service_id": service.name})
        service.do("log", 30, "olá, %s", "mundo \u2028")
        packets.append(ground.raw.packet(f"log of {library}"))
    ours, theirs = packets
    same(ours, theirs, "headers", more={"content_type", "timestamp"})
    assert ours.json == theirs.json == "olá, mundo \u2028"
    assert ours.routing_key == theirs.routing_key == ""
    assert set(theirs.headers) == {"level_name", "service_id", "service_type"}
    assert {name: ours.headers[name] for name in theirs.headers} == {**theirs.headers, "service_id": "ours"}
