"""Peers that send what nobody should: it is counted and skipped, and nobody dies or grows."""

from __future__ import annotations

import json
import random
import socket
import struct
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
import zmq
from harness import free_port, wait_until

from hub.actors import ORIGINAL, Endpoints, Failed, Hub, Kind, Service, Start, StartHub, meet
from hub.raw import Raw, frame

pytestmark = pytest.mark.timeout(120)

MALFORMED = [
    b"",
    b":",
    b"no colon",
    b"<r>",
    b"<r>:",
    b"<r>:{",
    b'<r>:{"s": 1, "a": 2}',
    b'<r>:{"s": "X"}',
    b"<r>:[]",
    b"<b>:null",
    b'<b>:{"d": 1}',
    b'<b>:{"s": ["X"], "d": 1}',
    b'<b>:{"s": "X", "d": 1',
    b'<b>:{"s": "X", "d": NaN',
    b"<b>:" + b"[" * 100_000,
    b'<b>:{"s": "X", "d": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    b"\xff\xfe\xfd",
    b'<b>:{"s": "X", "d": "\xff"}',
    b"one_mirror:not json",
    b'one_mirror:{"s": "X", "d": 1, "areq": 5}',
    b'one_mirror:{"s": "X", "d": 1, "areq": {"i": 5}}',
    b'one_mirror:{"s": "X", "d": 1, "i": 7, "c": [], "t": "soon"}',
    b'one_mirror:{"s": "X", "d": 1, "i": "0", "c": 1, "t": -1e308}',
    b"One:",
    b"One:\x00",
    b"<p>:{}",
    b'<p>:{"s": "X", "d": null, "k": 5}',
    b'<hb>:{"s": {}}',
    b"<c>:{}",
    b"<e>:{}",
    b'<ares>:{"s": "X", "d": 1, "ares": 5}',
]


def counted(stats: dict[str, Any], *parts: str) -> int:
    """The sum of all counts whose name has one of these parts, however deep."""
    total = 0
    for name, value in stats.items():
        if isinstance(value, dict):
            total += counted(value, *parts)
        elif isinstance(value, int) and any(part in name for part in parts):
            total += value
    return total


@pytest.mark.parametrize("kind", ["ours", "pyzmq"])
def test_malformed_messages_are_counted_and_skipped(hub: StartHub, service: Start, raw: Raw, kind: Kind) -> None:
    hub(kind)
    one, two = service("One"), service("Two")
    meet(one, two)
    before = counted(one.do("stats"), "malformed")
    for message in MALFORMED:
        raw.send(message)
    raw.send(frame("One", s="raw", d="after them"))
    one.wait("response", data="after them")
    meet(two, one)
    assert counted(one.do("stats"), "malformed") > before
    assert one.returncode is two.returncode is None


def test_messages_of_several_frames_are_skipped_by_our_hub_and_counted(hub: StartHub, service: Start, raw: Raw) -> None:
    place = hub()
    one = service("One")
    one.wait("connect")
    before = counted(place.stats(), "multipart")
    raw.send(frame("One", s="raw", d="first"), frame("One", s="raw", d="second"))
    raw.send(frame("One", s="raw", d="whole"))
    one.wait("response", data="whole")
    assert [event["data"] for event in one.events("response")] == ["whole"]
    assert counted(place.stats(), "multipart") > before


NOISE = [
    b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n",
    bytes(64),
    b"\xff" * 64,
    b"\xff" + bytes(8) + b"\x7f" + b"\x09" * 60,
    b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48) + b"\x04\x05\x05READY" + b"\xff" * 40,
    b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE" + bytes(47),
    b"",
]


@pytest.mark.parametrize("end", ["sender", "receiver"])
def test_peers_that_speak_something_else_are_turned_away(service: Start, hub: StartHub, end: str) -> None:
    at = Endpoints(f"tcp://127.0.0.1:{free_port()}", f"tcp://127.0.0.1:{free_port()}")
    hub(at=at)
    one, two = service("One", at=at), service("Two", at=at)
    meet(one, two)
    port = int(getattr(at, end).rpartition(":")[2])
    for noise in NOISE:
        with socket.create_connection(("127.0.0.1", port), 5) as stream:
            stream.settimeout(20)
            stream.sendall(noise)
            stream.shutdown(socket.SHUT_WR)
            try:
                while stream.recv(4096):
                    pass
            except ConnectionResetError:
                pass
    meet(one, two)
    assert not one.events("state", state="lost")


GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + bytes(32)
READY_PUSH = b"\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH"


def zmtp_push(port: int) -> socket.socket:
    """A PUSH by hand, its handshake done."""
    stream = socket.create_connection(("127.0.0.1", port), 5)
    stream.sendall(GREETING[:64].ljust(64, b"\0") + READY_PUSH)
    received = b""
    while b"READY" not in received:
        piece = stream.recv(4096)
        assert piece, received
        received += piece
    return stream


def test_a_frame_that_claims_to_be_huge_reserves_nothing(service: Start, hub: StartHub) -> None:
    at = Endpoints(f"tcp://127.0.0.1:{free_port()}", f"tcp://127.0.0.1:{free_port()}")
    place = hub(at=at)
    one, two = service("One", at=at), service("Two", at=at)
    meet(one, two)
    process = psutil.Process(place.pid)
    before = process.memory_info()
    port = int(at.receiver.rpartition(":")[2])
    for claim in (1 << 62, (1 << 64) - 1, 1 << 40, 1 << 32):
        with zmtp_push(port) as stream:
            stream.settimeout(20)
            stream.sendall(b"\x02" + struct.pack(">Q", claim) + b"x" * 1000)
            try:
                assert stream.recv(1) == b"", "the connection is closed"
            except ConnectionResetError:
                pass
    after = process.memory_info()
    assert after.rss - before.rss < 8 << 20
    assert after.vms - before.vms < 1 << 30
    meet(one, two)


def test_a_message_over_the_limit_is_refused_at_its_sender(hub: StartHub, service: Start) -> None:
    hub()
    one, two = service("One", options={"max_message": 100_000}), service("Two", quiet=["broadcast"])
    meet(one, two)
    with pytest.raises(Failed) as failed:
        one.broadcast("x" * 200_000)
    assert "PayloadError" in failed.value.kinds
    one.broadcast("x" * 50_000)
    wait_until(lambda: two.do("counts").get("broadcast") == 1, what="the smaller one")


def test_large_messages_within_the_limit_arrive_whole(hub: StartHub, service: Start) -> None:
    hub()
    one, two = service("One"), service("Two", quiet=["response"], collect=["response"])
    meet(one, two)
    sizes = [255, 256, 65_535, 65_536, 5_000_000]
    for size in sizes:
        one.respond("Two", "é" * size)
    wait_until(lambda: two.do("counts")["response"] == len(sizes), 30, "all of them")
    assert two.do("collected", "response") == ["é" * size for size in sizes]


SECRET = "a long secret that services share"


def test_with_the_right_secret_services_meet(hub: StartHub, service: Start) -> None:
    hub(secret=SECRET)
    one, two = service("One", options={"secret": SECRET}), service("Two", options={"secret": SECRET})
    meet(one, two)


def refused(place: Hub) -> int:
    """Connections that a hub has turned away because of its secret."""
    count: int = place.stats()["refused"]["unauthorised"]
    return count


@pytest.mark.parametrize("secret", ["a wrong secret, of some length", None])
def test_with_a_wrong_secret_or_none_a_service_is_told(hub: StartHub, service: Start, secret: str | None) -> None:
    place = hub(secret=SECRET)
    one = service("One", options={"secret": secret} if secret else {})
    ended = one.wait("ended")
    assert "AuthenticationError" in ended["failed"]
    assert SECRET not in one.output
    assert refused(place) > 0


def test_a_hub_with_a_secret_tells_and_takes_nothing_from_originals(
    hub: StartHub, service: Start, at: Endpoints
) -> None:
    place = hub(secret=SECRET)
    one, two = (service(name, options={"secret": SECRET}) for name in ("One", "Two"))
    meet(one, two)
    original = service("Original", library=ORIGINAL)
    original.wait("up")
    with zmq.Context() as context, context.socket(zmq.SUB) as sub, context.socket(zmq.PUSH) as push:
        for one_socket in (sub, push):
            one_socket.setsockopt(zmq.LINGER, 0)
        sub.setsockopt(zmq.SUBSCRIBE, b"")
        sub.connect(at.sender)
        push.connect(at.receiver)
        push.send(frame("<b>", s="raw", d="forged"), zmq.NOBLOCK)
        wait_until(lambda: refused(place) >= 2, what="both are refused")
        one.broadcast("secret words")
        two.wait("broadcast", data="secret words")
        assert not sub.poll(0)
    assert not one.events("broadcast", data="forged")
    assert not original.events("broadcast")


def test_a_service_with_a_secret_says_nothing_to_a_hub_that_has_none(hub: StartHub, service: Start, raw: Raw) -> None:
    hub("pyzmq")
    raw.connect()
    one = service("One", options={"secret": SECRET})
    one.wait("state", state="searching")
    for number in range(20):
        raw.send(frame("<b>", s="raw", d=number))
        raw.wait_head("<b>", s="raw", d=number)
    assert not [message for message in raw.seen if b'"One"' in message]
    assert not one.events("connect")
    assert not one.events("broadcast")


def mutations(seed: int, count: int) -> Any:
    """Messages as ours and the originals write them, each changed somewhere."""
    chance = random.Random(seed)
    body = {"s": "Fuzz", "d": {"k": [1, "é", None, 1.5]}, "i": "0123456789abcdef", "c": 1, "t": 1000}
    models = [
        frame("<r>", s="Fuzz", a=["x", "y"], i="0123456789abcdef", v=1),
        frame("<b>", **body),
        frame("one_mirror", **body),
        frame("one_mirror", s="Fuzz", d=1, areq={"i": "5" * 32, "timeout": 1}),
        frame("One", **body),
        frame("<ares>", s="Fuzz", d=1, ares={"i": "5" * 32, "error": {"type": "ValueError", "error": "x"}}),
        frame("<hb>", s="Fuzz", d=None, i="0123456789abcdef", k="gone", a=["x"]),
        frame("<p>", s="Fuzz", d=None, i="0123456789abcdef", k="alive", a=["x"], t=1000),
        frame("<c>0123456789abcdef", s="Fuzz", i="0123456789abcdef", c=1, d=1),
        frame("<e>0123456789abcdef", s="Fuzz", d=None, n=1),
        json.dumps(body).encode(),
    ]
    for _ in range(count):
        message = bytearray(chance.choice(models))
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            where = chance.randrange(len(message) + 1)
            how = chance.randrange(5)
            if how == 0 and where < len(message):
                message[where] = chance.randrange(256)
            elif how == 1:
                message[where:where] = chance.choice((b"{", b'"', b":", b"\\", b"[", b"<r>:", b"\0", b"1e999", b"\xc3"))
            elif how == 2:
                del message[where : where + chance.randrange(8)]
            elif how == 3:
                message[where:] = b""
            elif message:
                piece = message[where : where + 20]
                message[where:where] = piece
        yield bytes(message)


def bombard(hub: StartHub, service: Start, raw: Raw, kind: Kind, count: int) -> None:
    """Sends them, and looks whether everybody is as well as before."""
    place = hub(kind)
    one: Service = service("One", quiet=["broadcast", "one_mirror", "response", "new_service", "lost", "error"])
    two = service("Two", quiet=["broadcast", "new_service", "lost"])
    meet(two, one)
    share = count // 10
    process, sizes = psutil.Process(place.pid), []
    for tenth in range(10):
        for number, message in enumerate(mutations(tenth, share)):
            raw.send(message)
            if number % 2000 == 1999:
                raw.send(frame("two_mirror", s="raw", d=(tenth, number)))
                two.wait("two_mirror", 30, data=[tenth, number])
                raw.receive()
                raw.seen.clear()
        raw.send(frame("two_mirror", s="raw", d=tenth))
        two.wait("two_mirror", 60, data=tenth)
        assert two.call("one_mirror", tenth) == tenth
        sizes.append((one.do("memory"), process.memory_info().rss))
    assert one.returncode is two.returncode is place.returncode is None
    # The first tenths fill caches and queues; after that nothing grows.
    for late, early in zip(sizes[-1], sizes[4], strict=True):
        assert late - early < 16 << 20, sizes
    assert not one.events("ended")


@pytest.mark.parametrize("kind", ["ours", "pyzmq"])
def test_mutated_messages_kill_nobody(hub: StartHub, service: Start, raw: Raw, kind: Kind) -> None:
    bombard(hub, service, raw, kind, 100_000)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["ours", "pyzmq"])
def test_a_million_mutated_messages_kill_nobody(hub: StartHub, service: Start, raw: Raw, kind: Kind) -> None:
    bombard(hub, service, raw, kind, 1_000_000)
