"""Packets that are compressed or encrypted on their way, between Python and JavaScript."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ironbridge.mesh import Broker, BrokerOptionsError, Context, InvalidPacketDataError
from ironbridge.mesh.middlewares import Compression, Encryption

from mesh.meeting import Meeting
from mesh.peers import Protocol

KEY, VECTOR = "k" * 32, "0123456789abcdef"
PACKETS = Path(__file__).with_name("packets")


async def echo(ctx: Context) -> Any:
    return ctx.params


async def both_ways(at: Meeting, protocol: Protocol, theirs: list[dict[str, Any]], ours: list[Any]) -> None:
    """Calls and events, small and large, from each to the other."""
    peer = at.js(protocol, "theirs", services=["values", "events"], middlewares=theirs)
    broker = Broker("ours", transporter=at.url, namespace=at.namespace, protocol=protocol, middlewares=ours)
    broker.create_service({"name": "mirror", "actions": {"echo": echo}})
    large = {"text": "Ünïcode " * 4000, "numbers": list(range(100))}
    async with broker:
        await broker.wait_for_services("values", 5000)
        assert await broker.call("values.zero") == 0
        assert await broker.call("values.got", large) is not None
        await asyncio.to_thread(peer.ask, "waitForServices", services=["mirror"])
        for params in ({"small": True}, large):
            assert await asyncio.to_thread(peer.call, "mirror.echo", params) == params
        await broker.emit("user.created", {"id": 7})
        heard = await asyncio.to_thread(peer.wait_event, "user.created")
        assert (heard["params"], heard["sender"]) == ({"id": 7}, "ours")
        assert (await broker.ping("theirs"))["nodeID"] == "theirs"


@pytest.mark.parametrize(
    ("protocol", "method", "threshold"),
    [("4", "deflate", "1kb"), ("4", "deflateRaw", 0), ("4", "gzip", "0.5 kb"), ("5", "deflate", 200)],
)
async def test_compressed_packets_cross_both_ways(
    protocol: Protocol, method: str, threshold: Any, at_redis: Meeting
) -> None:
    options = {"method": method, "threshold": threshold}
    await both_ways(at_redis, protocol, [{"name": "Compression", "args": [options]}], [Compression(**options)])


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        ("4", ["a secret of any length"]),
        ("4", ["another", "aes-128-ctr"]),
        ("4", [KEY, "aes-256-cbc", VECTOR]),
        ("5", [KEY, "aes-256-cbc", VECTOR]),
        ("5", [KEY, "aes-256-ecb"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else value,
)
async def test_encrypted_packets_cross_both_ways(protocol: Protocol, words: list[str], at_redis: Meeting) -> None:
    tap = at_redis.tap()
    await both_ways(at_redis, protocol, [{"name": "Encryption", "args": words}], [Encryption(*words)])
    assert tap.packets
    assert not any(b"sender" in packet.body for packet in tap.packets)


async def test_several_stand_in_the_same_order_at_both_ends(at_nats: Meeting) -> None:
    theirs = [{"name": "Encryption", "args": [KEY, "aes-256-cbc", VECTOR]}, {"name": "Compression", "args": []}]
    await both_ways(at_nats, "4", theirs, [Encryption(KEY, "aes-256-cbc", VECTOR), Compression()])


async def test_nodes_of_another_password_are_not_understood_and_do_no_harm(
    at_redis: Meeting, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {"transporter": at_redis.url, "namespace": at_redis.namespace, "discovery_wait": 100}
    one, two = (Broker(word, middlewares=[Encryption(word)], **options) for word in ("one", "two"))
    one.create_service({"name": "mirror", "actions": {"echo": echo}})
    async with one, two:
        assert await one.call("mirror.echo", [1]) == [1]
        assert "one" not in two.get_registry().nodes
    assert "it cannot be decrypted" in caplog.text


def kept(scenario: str) -> list[bytes]:
    """Packets that Moleculer has sent."""
    lines = (PACKETS / "v4" / f"{scenario}.jsonl").read_text().splitlines()
    return [base64.b64decode(json.loads(line)["bytes"]) for line in lines if line]


def as_it_is(_topic: str, data: bytes) -> bytes:
    return data


def test_kept_packets_are_read_and_encrypted_again_as_moleculer_does() -> None:
    middleware = Encryption(KEY, "aes-256-cbc", VECTOR)
    packets = kept("encrypted")
    assert len(packets) >= 2
    for packet in packets:
        plain = received(middleware, packet)
        assert json.loads(plain)["ver"] == "4"
        assert middleware.transporter_send(as_it_is)("t", plain) == packet


def test_kept_packets_are_decompressed_and_told_from_those_that_are_not_compressed() -> None:
    middleware = Compression(threshold=200)
    packets = kept("compressed")
    assert {packet[0] for packet in packets} == {0, 1}
    for packet in packets:
        plain = received(middleware, packet)
        assert json.loads(plain)["ver"] == "4"
        # Another zlib may find other bytes for the same.
        assert middleware.transporter_send(as_it_is)("t", plain)[0] == packet[0]


def received(middleware: Any, data: bytes) -> bytes:
    read: Callable[[str, bytes], bytes] = middleware.transporter_receive(as_it_is)
    return read("t", data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"\1nothing", "decompressed"),
        (b"\1" + zlib.compress(b"x" * 1000)[:-8], "cut off"),
        (b"\1" + gzip.compress(b"x"), "same compression"),
        (b"\1" + zlib.compress(b"\0" * (65 << 20)), "max_packet"),
    ],
    ids=["empty", "noise", "short", "other", "bomb"],
)
def test_what_cannot_be_decompressed_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(InvalidPacketDataError, match=why):
        received(Compression(), data)


@pytest.mark.parametrize("data", [b"", b"no block", bytes(range(160))], ids=["empty", "short", "noise"])
def test_what_cannot_be_decrypted_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidPacketDataError, match="same password"):
        received(Encryption("secret"), data)


@pytest.mark.parametrize(
    ("size", "bytes_"), [("1kb", 1024), ("1.5 MB", 1_572_864), (10, 10), ("17", 17), ("64b", 64)], ids=str
)
def test_the_threshold_is_a_number_or_a_text(size: Any, bytes_: int) -> None:
    send = Compression(threshold=size).transporter_send(as_it_is)
    assert send("t", b"x" * (bytes_ - 1))[:1] == b"\0"
    assert send("t", b"x" * bytes_)[:1] == b"\1"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Compression("brotli"),
        lambda: Compression(threshold="much"),
        lambda: Encryption(""),
        lambda: Encryption("secret", "des"),
        lambda: Encryption("short", iv=VECTOR),
        lambda: Encryption(KEY, iv="short"),
        lambda: Broker("one", transporter="memory", protocol="5", middlewares=[Encryption("secret")]),
    ],
    ids=["method", "threshold", "password", "algorithm", "key", "vector", "protocol 5"],
)
def test_what_cannot_be_used_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(BrokerOptionsError):
        make()


TOGETHER = """
import asyncio, sys
from ironbridge.mesh import Broker
from ironbridge.mesh.middlewares import Compression

async def echo(ctx):
    return ctx.params

async def main():
    options = {"transporter": sys.argv[1], "namespace": sys.argv[2], "heartbeat_interval": 5}
    one, two = (Broker(name, middlewares=[Compression(threshold=0)], **options) for name in ("one", "two"))
    one.create_service({"name": "mirror", "actions": {"echo": echo}})
    async with one, two:
        await two.wait_for_services("mirror", 5000)
        for _ in range(40):
            assert await asyncio.gather(*(two.call("mirror.echo", n) for n in range(50))) == list(range(50))

asyncio.run(main())
"""


def test_calls_and_signs_of_life_go_out_together_through_a_middleware(at_redis: Meeting) -> None:
    # Should they wait for each other for ever, nothing within that process could end it.
    words = [sys.executable, "-c", TOGETHER, at_redis.url, at_redis.namespace]
    subprocess.run(words, check=True, timeout=20)
