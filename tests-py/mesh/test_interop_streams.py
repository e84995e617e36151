"""Streams between our node and Moleculer.js's, both ways: of bytes and of objects, that end, break off, or are let go."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import pytest
import pytest_asyncio
from ironbridge.mesh import MeshStream, MoleculerError

from mesh.nodes import CROSSED, OURS, THEIRS, Met, meet, meeting_at
from mesh.peers import JsStream
from mesh.services import Broken, collect, flows, lab, pattern, source

pytestmark = pytest.mark.asyncio(loop_scope="module")
MEBIBYTES = 5 << 20
OBJECTS = [{"a": 1}, "two", [3], 4, True, {"none": None}]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=CROSSED, ids="-".join)
async def met(request: pytest.FixtureRequest) -> AsyncIterator[Met]:
    protocol, server = request.param
    with ExitStack() as started:
        place = meeting_at(request, server, started)
        async with meet(place, protocol, theirs=["streams", "who"], schemas=[flows(), lab()]) as met:
            yield met


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def read(stream: Any) -> dict[str, Any]:
    assert isinstance(stream, MeshStream)
    return await collect(stream)


async def test_bytes_come_down_both_ways(met: Met) -> None:
    told = await read(await met.broker.call("streams.down", {"chunks": ["ab", "", "日本"]}))
    assert (told["whole"], told["error"]) == ("ab日本", None)
    theirs = await met.js_calls("py-flows.down", {"chunks": ["ab", "日本"]})
    assert isinstance(theirs, JsStream)
    assert (theirs.object_mode, b"".join(theirs.chunks or []).decode(), theirs.error) == (False, "ab日本", None)


async def test_bytes_go_up_both_ways(met: Met) -> None:
    told = await met.broker.call("streams.up", stream=source({"chunks": [b"one", b"two"]}))
    assert (told["bytes"], told["sha256"], told["objectMode"]) == (6, digest(b"onetwo"), False)
    theirs = await met.js_calls("py-flows.up", {}, stream={"chunks": [b"one", "two"]})
    assert (theirs["bytes"], theirs["sha256"], theirs["error"]) == (6, digest(b"onetwo"), None)


async def test_five_mebibytes_arrive_whole_every_way(met: Met) -> None:
    wanted, whole = {"size": MEBIBYTES}, digest(pattern(0, MEBIBYTES))
    down = await read(await met.broker.call("streams.down", wanted))
    assert (down["bytes"], down["sha256"]) == (MEBIBYTES, whole)
    theirs = await met.js_calls("py-flows.down", wanted)
    assert (theirs.bytes, theirs.sha256) == (MEBIBYTES, whole)
    up = await met.broker.call("streams.up", stream=source(wanted), timeout=30_000)
    assert (up["bytes"], up["sha256"]) == (MEBIBYTES, whole)
    back = await met.js_calls("py-flows.up", {}, stream=wanted)
    assert (back["bytes"], back["sha256"]) == (MEBIBYTES, whole)


async def test_large_parts_are_cut_as_moleculer_cuts_them(met: Met) -> None:
    size = 600_000
    theirs = await met.js_calls("py-flows.down", {"size": size, "chunk": size})
    assert theirs.bytes == size
    assert max(theirs.sizes or [0]) == 256 * 1024
    told = await met.broker.call("streams.up", stream=source({"size": size, "chunk": size}))
    assert (told["bytes"], max(told["sizes"])) == (size, 256 * 1024)
    down = await read(await met.broker.call("streams.down", {"size": size, "chunk": size}))
    assert (down["bytes"], down["count"]) == (size, 3)


async def test_objects_flow_as_they_are_both_ways(met: Met) -> None:
    down = await read(await met.broker.call("streams.down", {"chunks": OBJECTS, "objectMode": True}))
    assert down["objects"] == OBJECTS
    theirs = await met.js_calls("py-flows.down", {"chunks": OBJECTS})
    assert (theirs.object_mode, theirs.chunks) == (True, OBJECTS)
    up = await met.broker.call("streams.up", stream=source({"chunks": OBJECTS}))
    assert (up["objectMode"], up["chunks"]) == (True, OBJECTS)
    back = await met.js_calls("py-flows.up", {}, stream={"chunks": OBJECTS, "objectMode": True})
    assert back["objects"] == OBJECTS


async def test_a_stream_of_nothing_ends(met: Met) -> None:
    assert (await read(await met.broker.call("streams.down", {"chunks": []})))["count"] == 0
    theirs = await met.js_calls("py-flows.down", {"chunks": []})
    assert isinstance(theirs, JsStream)
    assert (theirs.count, theirs.error) == (0, None)
    assert (await met.broker.call("streams.up", stream=source({})))["count"] == 0
    assert (await met.js_calls("py-flows.up", {}, stream={"chunks": []}))["count"] == 0


async def test_a_stream_that_breaks_off_says_why_after_what_came(met: Met) -> None:
    failure = {"message": "no more", "code": 77, "name": "OddError"}
    stream = await met.broker.call("streams.down", {"chunks": ["ab"], "fails": failure})
    assert await stream.__anext__() == b"ab"
    with pytest.raises(MoleculerError, match="no more") as raised:
        await stream.__anext__()
    assert (raised.value.code, raised.value.node_id) == (77, THEIRS)
    theirs = await met.js_calls("py-flows.down", {"chunks": ["ab"], "fails": "ours is empty"})
    assert theirs.chunks == [b"ab"]
    assert theirs.error is not None
    assert (theirs.error["name"], theirs.error["message"], theirs.error["nodeID"]) == ("Broken", "ours is empty", OURS)


async def test_a_stream_of_a_call_that_breaks_off_says_why_too(met: Met) -> None:
    theirs = await met.js_calls(
        "py-flows.up", {}, stream={"chunks": [b"ab"], "fails": {"message": "no more", "code": 7}}
    )
    assert (theirs["whole"], theirs["error"]) == ("ab", "no more")
    told = await met.broker.call("streams.up", stream=source({"chunks": [b"ab"], "fails": "ours is empty"}))
    assert (told["bytes"], told["error"]) == (2, {"name": "Broken", "message": "ours is empty"})


async def test_a_stream_flows_up_and_another_down_at_once(met: Met) -> None:
    back = await read(await met.broker.call("streams.upper", stream=source({"chunks": [b"ab", b"cd"]})))
    assert back["whole"] == "ABCD"
    theirs = await met.js_calls("py-flows.upper", {}, stream={"chunks": ["ab", "cd"]})
    assert b"".join(theirs.chunks or []) == b"ABCD"
    echoed = await read(await met.broker.call("streams.echo", stream=source({"chunks": OBJECTS})))
    assert echoed["objects"] == OBJECTS
    mirrored = await met.js_calls("py-flows.echo", {}, stream={"chunks": OBJECTS, "objectMode": True})
    assert (mirrored.object_mode, mirrored.chunks) == (True, OBJECTS)


async def test_parameters_go_beside_a_stream_in_protocol_5_alone(met: Met) -> None:
    told = await met.js_calls("py-flows.up", {"given": 1}, stream={"chunks": [b"x"]}, meta={"m": 1})
    assert told["params"] == ({"given": 1} if met.protocol == "5" else None)
    assert told["meta"]["m"] == 1
    up = await met.broker.call("streams.up", {"given": 1}, stream=source({"chunks": [b"x"]}), meta={"m": 1})
    assert up["given"] == ({"given": 1} if met.protocol == "5" else {"m": 1})


async def test_meta_comes_with_a_stream(met: Met) -> None:
    answer = await met.ask(met.js.called, "py-flows.down", {"chunks": ["x"]}, meta={"m": 1})
    assert answer.context["meta"] == {"m": 1}
    request = await met.says("REQ", OURS, action="py-flows.down", meta={"m": 1})
    assert (await met.says("RES", THEIRS, id=request["id"], seq=0))["meta"] == {"m": 1}


async def test_many_streams_at_once_keep_apart(met: Met) -> None:
    import asyncio

    async def one(number: int) -> None:
        size = 70_000 + number
        up, down = await asyncio.gather(
            met.broker.call("streams.up", stream=source({"size": size, "chunk": 10_000})),
            met.broker.call("streams.down", {"size": size, "chunk": 10_000}),
        )
        assert up["sha256"] == (await read(down))["sha256"] == digest(pattern(0, size))

    await asyncio.gather(*(one(number) for number in range(10)))


async def test_neither_node_keeps_anything_of_streams_that_are_over(met: Met) -> None:
    await met.js_calls("py-flows.echo", {}, stream={"size": 100_000})
    pending = await met.ask(met.js.ask, "pending")
    assert pending["requests"] == 0
    assert pending["receiving"] == 0


async def test_a_failure_before_the_first_part_is_told(met: Met) -> None:
    async def fails() -> AsyncIterator[bytes]:
        raise Broken("at once")
        yield b""

    told = await met.broker.call("streams.up", stream=fails(), timeout=5000)
    assert (told["count"], told["error"]) == (0, {"name": "Broken", "message": "at once"})
