"""Bodies of another format than JSON: text and bytes, both ways, in every kind of message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ironbridge.errors import RemoteExecutionError

from hub.face import until
from hub.member import Ground, answer, meet


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with Ground(tmp_path) as ground:
        ground.start_hub()
        yield ground


def binary_dumps(value: Any) -> bytes:
    return b"\xc1\xff" + json.dumps(value).encode()


def binary_loads(body: bytes) -> Any:
    assert isinstance(body, bytes)
    assert body.startswith(b"\xc1\xff")
    return json.loads(body[2:])


def text_dumps(value: Any) -> str:
    return "é" + json.dumps(value)


def text_loads(body: str) -> Any:
    assert isinstance(body, str)
    assert body.startswith("é")
    return json.loads(body[1:])


FORMATS = {"bytes": (binary_dumps, binary_loads), "text": (text_dumps, text_loads)}


@pytest.fixture(params=FORMATS)
def form(request: pytest.FixtureRequest) -> dict[str, Any]:
    dumps, loads = FORMATS[request.param]
    return {"dumps": dumps, "loads": loads}


async def test_every_kind_of_message_crosses(ground: Ground, form: dict[str, Any]) -> None:
    async def echo(service: str, data: Any) -> Any:
        return [service, data]

    async def fail(service: str, data: Any) -> None:
        raise ValueError("é no")

    told: list[Any] = []

    def tell(kind: str) -> Any:
        return lambda *what: told.append((kind, *what))

    db = await ground.join("Db", {"echo": echo, "fail": fail}, new_service=tell("new"), **form)
    hooks = {"broadcast": tell("broadcast"), "response": tell("response"), "service_lost": tell("lost")}
    caller = await ground.join("Caller", **hooks, **form)
    await meet(caller, "Db")
    await meet(db, "Caller")
    assert caller.services()[0]["actions"] == ["echo", "fail"]
    assert caller.services()[0]["native"]
    assert await answer(caller.call("echo", {"x": "é"}, 5.0)) == ["Caller", {"x": "é"}]
    assert await answer(caller.call_all("echo", 1, 5.0)) == [("Db", ["Caller", 1])]
    with pytest.raises(ValueError, match="é no") as failed:
        await answer(caller.call("fail", 1, 5.0))
    assert isinstance(failed.value, RemoteExecutionError)
    assert "raise ValueError" in failed.value.remote_traceback
    db.broadcast("to all")
    db.respond("Caller", "to one")
    instance = db.instance
    await until(lambda: len(told) == 3)
    db.close()
    await until(lambda: len(told) == 4)
    assert told == [
        ("new", "Caller", []),
        ("broadcast", "Db", "to all"),
        ("response", "Db", "to one"),
        ("lost", "Db", instance),
    ]
    assert caller.stats()["malformed"] == 0


async def test_what_the_serializer_refuses_is_counted_and_the_next_is_read(
    ground: Ground, form: dict[str, Any]
) -> None:
    heard: list[Any] = []
    member = await ground.join("Db", broadcast=lambda service, data: heard.append(data), **form)
    with ground.stranger() as push:
        for body in (b'{"s":"A","d":1}', b"", b"\xff\xfe", b"\xc1\xff{", "é[]".encode(), 'é{"d":1}'.encode()):
            push.send(b"<b>:" + body)
        written = form["dumps"]({"s": "A", "d": "sense"})
        push.send(b"<b>:" + (written if isinstance(written, bytes) else written.encode()))
        await until(lambda: bool(heard))
    assert heard == ["sense"]
    assert member.stats()["malformed"] == 6


async def test_a_value_that_the_serializer_refuses_is_its_senders_error(ground: Ground, form: dict[str, Any]) -> None:
    member = await ground.join("Db", **form)
    with pytest.raises(TypeError):
        member.broadcast(object())
    with pytest.raises(TypeError):
        member.call("save", object(), 5.0)
    assert member.stats()["calls"] == 0
