"""Loggers of calls and of packets: what they say, and what they keep to themselves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest
from ironbridge.mesh import Broker, BrokerOptionsError, Context
from ironbridge.mesh.middlewares import ActionLogger, Compression, TransitLogger

from mesh.meeting import Meeting


async def add(ctx: Context) -> int:
    return int(ctx.params["a"] + ctx.params["b"])


async def fails(_ctx: Context) -> None:
    raise ValueError("wrong")


SCHEMA: dict[str, Any] = {"name": "math", "actions": {"add": add, "fails": fails}}


async def test_calls_and_answers_are_logged_with_what_is_to_be_shown(
    namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    shown = ActionLogger(log_params=True, log_response=True, log_meta=True, whitelist=["math.*"])
    async with Broker("one", transporter="memory", namespace=namespace, middlewares=[shown]) as broker:
        broker.create_service(SCHEMA)
        await broker.wait_for_services("math", 5000)
        assert await broker.call("math.add", {"a": 1, "b": 2}, meta={"user": "bob"}) == 3
        with pytest.raises(ValueError, match="wrong"):
            await broker.call("math.fails")
        await broker.call("$node.list")
    lines = [record.getMessage() for record in caplog.records if record.name == "ironbridge.mesh.debug"]
    assert lines == [
        "calling math.add params={'a': 1, 'b': 2} meta={'user': 'bob'}",
        "math.add has answered response=3",
        "calling math.fails",
        "math.fails has failed: ValueError('wrong')",
    ]


async def test_nothing_of_a_call_is_shown_unless_asked_for(namespace: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[Mapping[str, Any]] = []
    quiet = ActionLogger(log_level=None, sink=told.append)
    loud = ActionLogger(logger=logging.getLogger("mine"), log_level="debug")
    async with Broker("one", transporter="memory", namespace=namespace, middlewares=[quiet, loud]) as broker:
        broker.create_service(SCHEMA)
        await broker.wait_for_services("math", 5000)
        await broker.call("math.add", {"a": 1, "b": 2})
    assert told == [{"kind": "request", "action": "math.add"}, {"kind": "response", "action": "math.add"}]
    mine = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "mine"]
    assert mine == [("DEBUG", "calling math.add"), ("DEBUG", "math.add has answered")]


def test_a_level_that_is_none_is_refused() -> None:
    with pytest.raises(BrokerOptionsError, match="'loud'"):
        ActionLogger(log_level="loud")


async def test_packets_are_logged_as_they_are_before_compression(at_redis: Meeting) -> None:
    peer = at_redis.js("4", "theirs", services=["who"], middlewares=[{"name": "Compression"}])
    told: list[Mapping[str, Any]] = []
    log = TransitLogger(log_packet_data=True, log_level=None, sink=told.append)
    # The last is the outermost: a packet goes through it first.
    middlewares = [Compression(), log]
    options: dict[str, Any] = {"transporter": at_redis.url, "namespace": at_redis.namespace}
    async with Broker("ours", middlewares=middlewares, **options) as broker:
        await broker.wait_for_services("who", 5000)
        assert await broker.call("who.am") == "theirs"
        await asyncio.to_thread(peer.ping, "ours")
    [request] = [one for one in told if one["command"] == "REQ"]
    assert (request["kind"], request["target"], request["packet"]["action"]) == ("send", "theirs", "who.am")
    [answer] = [one for one in told if one["command"] == "RES"]
    assert (answer["kind"], answer["sender"], answer["packet"]["data"]) == ("receive", "theirs", "theirs")
    assert {one["command"] for one in told} >= {"INFO", "PING", "PONG"}
    assert "HEARTBEAT" not in {one["command"] for one in told}
