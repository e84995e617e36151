"""Values between our node and Moleculer.js's: what JSON has crosses unchanged, the rest as JavaScript writes it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from ironbridge.errors import PayloadError

from mesh.marks import UNDEFINED, from_js
from mesh.nodes import CROSSED, OURS, Met, meet, meeting_at, until
from mesh.ours import DAY
from mesh.services import lab

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=CROSSED, ids="-".join)
async def met(request: pytest.FixtureRequest) -> AsyncIterator[Met]:
    protocol, server = request.param
    with ExitStack() as started:
        place = meeting_at(request, server, started)
        async with meet(place, protocol, theirs=["values", "odd"], services=["py-values"], schemas=[lab()]) as met:
            yield met


async def got(met: Met, params: Any) -> Any:
    """What arrived at the peer, when we call with these parameters."""
    told = await met.broker.call("values.got", params)
    return from_js(json.loads(told["params"]))


def nested(depth: int) -> Any:
    whole: Any = "core"
    for level in range(depth):
        whole = {"in": whole} if level % 2 else [whole]
    return whole


PLAIN: dict[str, Any] = {
    "texts": {
        "a": "Olá, mundo! 日本 🚀",
        "controls": "\u0000\u001f\u007f\u2028\u2029",
        "quotes": "\"'\\/`",
        "": "empty key",
    },
    "astral keys": {"🚀": 1, "日本": [2], "a.b": 3, "__proto__x": 4},
    "numbers": [0, -1, 0.1, 1e-7, 1e21, 5e-324, 1.7976931348623157e308, 2**53 - 1, -(2**53) + 1, -0.5],
    "truths": [True, False, None],
    "empty": {"list": [], "object": {}, "text": ""},
    "deep": nested(60),
    "long": "x" * 1_000_000,
    "wide": {f"k{n}": n for n in range(5000)},
}


@pytest.mark.parametrize("name", PLAIN)
async def test_what_json_has_crosses_unchanged_both_ways(met: Met, name: str) -> None:
    value = PLAIN[name]
    params = value if isinstance(value, dict) else {"value": value}
    assert await met.broker.call("values.echo", params) == params
    assert await met.js_calls("py-values.echo", params) == params
    assert await got(met, params) == params


async def test_whole_numbers_stay_whole_and_others_stay_as_they_are(met: Met) -> None:
    back = await met.broker.call("values.echo", [3, 3.0, 2.5])
    assert [type(one) for one in back] == [int, int, float]
    assert type(await met.broker.call("values.big")) is int
    assert await met.js_calls("v2.py-lab.got", 3.0) == {"kind": "int", "params": 3, "headers": {}}


async def test_numbers_beyond_what_javascript_holds_lose_what_they_lose_there(met: Met) -> None:
    assert await got(met, {"n": 2**63}) == {"n": 9223372036854776000}
    assert await got(met, {"n": 2**53 + 1}) == {"n": 2**53}
    assert await met.broker.call("values.beyond") == 9223372036854776000
    assert await met.broker.call("values.tiny") == 5e-324


async def test_undefined_is_none_here_and_none_is_null_there(met: Met) -> None:
    assert await met.broker.call("values.undefined") is None
    assert await met.broker.call("values.null") is None
    assert await met.js_calls("py-values.none") is None
    assert await met.js_calls("py-values.echo", {"gone": UNDEFINED, "none": None}) == {"none": None}
    assert await met.broker.call("values.object") == {"a": 1, "none": None, "deep": {"b": [{}]}}
    assert await met.broker.call("values.list") == [1, None, None, "x"]
    assert await got(met, None) is None or await got(met, None) == {}


async def test_what_is_no_number_is_null_as_json_has_it(met: Met) -> None:
    for name in ("nan", "infinity"):
        assert await met.broker.call(f"values.{name}") is None
    assert await met.js_calls("py-values.nan") is None
    assert await got(met, {"n": float("nan"), "i": [float("inf"), -float("inf")]}) == {"n": None, "i": [None, None]}


async def test_bytes_are_javascript_s_buffers(met: Met) -> None:
    raw = bytes([0, 1, 127, 128, 255])
    buffer = {"type": "Buffer", "data": list(raw)}
    for value in (raw, bytearray(raw), memoryview(raw)):
        assert await got(met, {"raw": value, "in": [value]}) == {"raw": buffer, "in": [buffer]}
    assert await met.js_calls("py-values.bytes") == buffer
    assert await met.broker.call("values.buffer") == buffer
    assert await met.broker.call("values.buffers") == {
        "one": {"type": "Buffer", "data": list(b"one")},
        "two": [{"type": "Buffer", "data": []}],
    }
    assert (await met.js_calls("v2.py-lab.got", {"raw": raw}))["params"] == {"raw": buffer}


async def test_moments_are_javascript_s_texts(met: Met) -> None:
    text = "2024-02-29T12:30:15.250Z"
    elsewhere = DAY.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert await got(met, {"at": DAY, "there": elsewhere}) == {"at": text, "there": text}
    assert await met.js_calls("py-values.date") == text
    assert await met.broker.call("values.date") == text
    assert (await met.js_calls("v2.py-lab.got", {"at": DAY}))["params"] == {"at": text}
    early = datetime(1, 1, 1, tzinfo=UTC)
    assert await got(met, {"early": early}) == {"early": "0001-01-01T00:00:00.000Z"}


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    at: date


async def test_python_s_other_values_cross_as_what_they_mean(met: Met) -> None:
    one = UUID("12345678-1234-5678-1234-567812345678")
    value: Mapping[Any, Any] = {
        "tuple": (1, (2,)),
        "set": {1},
        "enum": Colour.RED,
        "dataclass": Point(1, date(2024, 2, 29)),
        "uuid": one,
        "decimal": Decimal("1.5"),
        7: "number",
        True: "truth",
    }
    assert await got(met, value) == {
        "tuple": [1, [2]],
        "set": [1],
        "enum": "red",
        "dataclass": {"x": 1, "at": "2024-02-29"},
        "uuid": str(one),
        "decimal": 1.5,
        "7": "number",
        "true": "truth",
    }


async def test_what_cannot_cross_is_refused_before_it_is_sent(met: Met) -> None:
    met.tap.clear()
    with pytest.raises(PayloadError, match="object"):
        await met.broker.call("values.got", {"deep": [object()]})
    loop: dict[str, Any] = {}
    loop["self"] = loop
    with pytest.raises(PayloadError):
        await met.broker.call("values.got", loop)
    assert [one for one in met.tap.packets if one.command == "REQ"] == []


async def test_an_answer_that_cannot_cross_is_an_error_at_both_sides(met: Met) -> None:
    service = met.broker.create_service({"name": "py-odd", "actions": {"object": lambda ctx: object()}})
    await met.ask(met.js.ask, "waitForServices", services=["py-odd"])
    told = await met.js_fails("py-odd.object", timeout=5000)
    assert told.node_id == OURS and "object" in told.message
    await met.broker.destroy_service(service)
    theirs = await met.py_fails("odd.bigint", timeout=5000)
    assert (theirs.name, theirs.message) == ("TypeError", "Do not know how to serialize a BigInt")


async def test_half_a_pair_of_surrogates_harms_nobody(met: Met) -> None:
    """JavaScript's texts may hold them; ours may too, but no UTF-8 can."""
    packet = (
        f'{{"ver":"{met.protocol}","sender":"far","id":"half","action":"py-values.echo","params":{{"t":"\\ud83d"}}}}'
    )
    await met.ask(met.tap.publish, f"{met.meeting.prefix}.REQ.{OURS}", packet.encode())
    answer = await met.says("RES", "far", id="half")
    assert answer["success"] in (True, False)
    assert await met.broker.call("values.zero") == 0


async def test_meta_carries_values_as_parameters_do(met: Met) -> None:
    meta = {"at": DAY, "raw": b"x", "none": None, "list": [1, {"日": "本"}]}
    back = await met.broker.call("values.zero", meta=meta)
    assert back == 0

    def told() -> list[Any]:
        return [one.fields["meta"] for one in met.tap.find("REQ", "js") if one.fields["meta"].get("raw")]

    await until(told, "the recorder has not seen the request")
    assert told()[-1] == {
        "at": "2024-02-29T12:30:15.250Z",
        "raw": {"type": "Buffer", "data": [120]},
        "none": None,
        "list": [1, {"日": "本"}],
    }
