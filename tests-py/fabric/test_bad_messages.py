"""Calls and answers that are not what they should be, from whoever writes to a queue, and values that cannot cross."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import pytest
from ironbridge.fabric import (
    AbstractServiceApi,
    AmqBrokerConnector,
    IronbridgeError,
    PayloadError,
    ProtocolError,
    RemoteExecutionError,
)

from fabric.inbox import PATIENCE, Troubles, connector

EXCHANGE = "shop.api.till.one"


class Till(AbstractServiceApi):
    ran = 0

    async def echo(self, value: Any = None, **more: Any) -> Any:
        Till.ran += 1
        return value

    async def make(self, what: str) -> Any:
        cyclic: list[Any] = []
        cyclic.append(cyclic)
        return {"set": [{1, 2}], "keys": {(1, 2): 3}, "cyclic": cyclic, "long": "x" * 50_000}[what]


class Raw:
    """A client that sends whatever it is told to, and gives what comes back."""

    def __init__(self, channel: aio_pika.abc.AbstractChannel, replies: aio_pika.abc.AbstractQueue) -> None:
        self._channel, self._replies = channel, replies
        self.came: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()

    async def send(self, body: bytes, method: str = "echo", **properties: Any) -> None:
        properties = {
            "content_type": "application/json",
            "correlation_id": "1",
            "reply_to": self._replies.name,
            "type": "call",
            "headers": {"From": self._replies.name},
            **properties,
        }
        exchange = await self._channel.get_exchange(EXCHANGE, ensure=False)
        await exchange.publish(aio_pika.Message(body, **properties), f"{EXCHANGE}::{method}")

    async def answer(self) -> tuple[str | None, Any]:
        message = await asyncio.wait_for(self.came.get(), PATIENCE)
        return message.type, json.loads(message.body)


@asynccontextmanager
async def raw(uri: str) -> AsyncIterator[Raw]:
    async with await aio_pika.connect(uri) as connection:
        channel = await connection.channel()
        client = Raw(channel, await channel.declare_queue(exclusive=True))
        await client._replies.consume(client.came.put, no_ack=True)
        yield client


@pytest.fixture
async def amq(vhost: str) -> AsyncIterator[AmqBrokerConnector]:
    async with connector(vhost, options={"max_message": 100_000}) as amq:
        await amq.rpc_register(Till())
        yield amq


BOMB = gzip.compress(b"[" + b" " * 20_000_000 + b"]")

BODIES: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"{'value': 1}",
    "cut": b'{"value": 1',
    "not UTF-8": b'{"value": "\xff"}',
    "pickle": b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00}\x94.",
    "list": b"[1]",
    "text": b'"value"',
    "number": b"3",
    "null": b"null",
    "deep": b'{"value": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "no gzip": b"\x1f\x8bxxxx",
    "cut gzip": gzip.compress(b'{"value": 1}')[:-6],
    "gzip of no JSON": gzip.compress(b"{"),
    "bomb": BOMB,
    "too large": b'{"value": "' + b"x" * 150_000 + b'"}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_call_that_cannot_be_read_is_answered_with_an_error_and_the_server_goes_on(
    vhost: str, amq: AmqBrokerConnector, body: bytes
) -> None:
    before = Till.ran
    async with raw(vhost) as client:
        await client.send(body)
        message = await asyncio.wait_for(client.came.get(), PATIENCE)
        plain = gzip.decompress(message.body) if message.body.startswith(b"\x1f\x8b") else message.body
        assert message.type == "error"
        told = json.loads(plain)["error"]
        # The originals can make such a class, and would drop an error of one that they do not know.
        assert told["type"] in ("RuntimeError", "TypeError"), told
        assert told["type"] == "TypeError" or told["message"].startswith("PayloadError(") or len(body) > 100_000
        assert Till.ran == before
        await client.send(b'{"value": 1}')
        assert await client.answer() == ("result", 1)


async def test_properties_of_any_kind_do_not_stop_a_server(vhost: str, amq: AmqBrokerConnector) -> None:
    async with raw(vhost) as client:
        cases: list[dict[str, Any]] = [
            {"content_type": None, "headers": {}},
            {"content_type": "text/plain; charset=utf-8"},
            {"type": None},
            {"type": "result"},
            {"correlation_id": None},
            {"correlation_id": "x" * 255},
            {"expiration": 600_000},
            {"priority": 255, "app_id": "", "user_id": None},
            {"headers": {"deadline": "soon", "From": 3, "ironbridge": {"deep": [None]}}},
        ]
        for properties in cases:
            await client.send(b'{"value": 2}', **properties)
        # Nobody to answer to.
        await client.send(b'{"value": 2}', reply_to=None)
        await client.send(b'{"value": 2}', reply_to="nobody's queue")
        await client.send(b'{"value": "last"}')
        while (await client.answer()) != ("result", "last"):
            pass
    assert await (await amq.rpc_proxy("shop", "one", "till")).echo(value=3) == 3


class Impostor:
    """Serves `shop.till.old`, and answers whatever it is told to."""

    def __init__(self) -> None:
        self.body, self.properties = b"", dict[str, Any]()

    @asynccontextmanager
    async def serving(self, uri: str) -> AsyncIterator[None]:
        async with await aio_pika.connect(uri) as connection:
            channel = await connection.channel()
            exchange = await channel.declare_exchange("shop.api.till.old", auto_delete=True)
            queue = await channel.declare_queue("shop.api.till.old::echo", auto_delete=True)
            await queue.bind(exchange, "shop.api.till.old::echo")

            async def reply(call: aio_pika.abc.AbstractIncomingMessage) -> None:
                properties = {"content_type": "application/json", "type": "result", **self.properties}
                told = aio_pika.Message(self.body, correlation_id=call.correlation_id, **properties)
                await channel.default_exchange.publish(told, call.reply_to or "")
                await call.ack()

            await queue.consume(reply)
            yield


ANSWERS = {name: body for name, body in BODIES.items() if name not in ("list", "text", "number", "null")}


async def test_an_answer_that_cannot_be_read_is_an_error_at_its_caller(vhost: str) -> None:
    impostor = Impostor()
    async with connector(vhost, options={"max_message": 100_000}) as amq, impostor.serving(vhost):
        proxy = await amq.rpc_proxy("shop", "old", "till", timeout=PATIENCE)
        for impostor.body in ANSWERS.values():
            with pytest.raises((PayloadError, ProtocolError)) as caught:
                await proxy.echo()
            assert caught.value.may_have_run
        impostor.body = b"1"
        assert await proxy.echo() == 1


async def test_an_error_of_any_form_is_an_error_at_its_caller(vhost: str) -> None:
    impostor = Impostor()
    async with connector(vhost) as amq, impostor.serving(vhost):
        proxy = await amq.rpc_proxy("shop", "old", "till", timeout=PATIENCE)
        impostor.properties = {"type": "error"}
        cases: list[Any] = [
            "TypeError('text alone')",
            None,
            3,
            [],
            {},
            {"error": None},
            {"error": "text"},
            {"error": {}},
            {"error": {"type": 3, "message": ["x"], "args": "x"}},
            {"error": {"type": "os.system", "message": "x", "args": ["true"]}},
            {"error": {"type": "builtins.SystemExit", "message": "x", "args": [1]}},
            {"error": {"type": "KeyboardInterrupt", "message": "x", "args": []}},
            {"error": {"type": "ValueError", "message": "x", "args": {}, "code": "x", "traceback": 3}},
            {"error": {"type": "ironbridge.errors.X", "message": "x", "args": [], "code": 99999, "fate": 77}},
        ]
        for told in cases:
            impostor.body = json.dumps(told).encode()
            with pytest.raises(IronbridgeError):
                await proxy.echo()
        impostor.body = b'{"error": {"type": "ValueError", "message": "ValueError(\'bad\', 3)", "args": ["bad", 3]}}'
        with pytest.raises(ValueError) as caught:
            await proxy.echo()
        assert isinstance(caught.value, RemoteExecutionError)
        assert caught.value.args == ("bad", 3)


async def test_an_answer_of_an_unknown_type_is_an_error_at_its_caller(vhost: str) -> None:
    impostor, troubles = Impostor(), Troubles()
    async with connector(vhost, on_error=troubles) as amq, impostor.serving(vhost):
        proxy = await amq.rpc_proxy("shop", "old", "till", timeout=PATIENCE)
        impostor.body = b"1"
        for kind in ("call", "unheard of", None):
            impostor.properties = {"type": kind}
            with pytest.raises(ProtocolError):
                await proxy.echo()
        impostor.properties = {}
        assert await proxy.echo() == 1


async def test_what_nobody_waits_for_is_passed_over(vhost: str, amq: AmqBrokerConnector) -> None:
    """An answer to no call, or a second one to the same."""
    proxy = await amq.rpc_proxy("shop", "one", "till")
    assert await proxy.echo(value=1) == 1
    async with await aio_pika.connect(vhost) as connection, Impostor().serving(vhost):
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        # What a call looks like tells where answers go.
        exchange = await channel.declare_exchange("shop.api.till.spy", auto_delete=True)
        await queue.bind(exchange, "shop.api.till.spy::echo")
        came: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
        await queue.consume(came.put, no_ack=True)
        spied = asyncio.ensure_future((await amq.rpc_proxy("shop", "spy", "till")).echo())
        call = await asyncio.wait_for(came.get(), PATIENCE)
        for body, correlation in ((b"0", "no such call"), (b"\xff", None), (b"2", call.correlation_id)):
            for _ in range(2):
                message = aio_pika.Message(body, correlation_id=correlation, type="result")
                await channel.default_exchange.publish(message, call.reply_to or "")
        assert await spied == 2
    assert await proxy.echo(value=3) == 3


async def test_what_json_has_not_is_refused_with_the_path_to_it(amq: AmqBrokerConnector) -> None:
    proxy = await amq.rpc_proxy("shop", "one", "till")
    cyclic: dict[str, Any] = {}
    cyclic["x"] = cyclic
    for value, path in (
        (object(), r"arguments\['value'\]"),
        ({"a": [1, {2}]}, r"arguments\['value'\]\['a'\]\[1\]"),
        ({"a": b"x"}, r"arguments\['value'\]\['a'\]"),
        ({(1, 2): 3}, r"arguments\['value'\]"),
        (cyclic, r"arguments\['value'\]\['x'\]"),
        (1j, r"arguments\['value'\]"),
    ):
        with pytest.raises(PayloadError, match=path) as caught:
            proxy.echo(value=value)
        assert caught.value.fate == "not sent"
    assert await proxy.echo(value=[None, True, 10**30, 1.5, "ü\U0001f600", {"1": []}]) == [
        None,
        True,
        10**30,
        1.5,
        "ü\U0001f600",
        {"1": []},
    ]
    assert math.isnan(await proxy.echo(value=math.nan))
    assert await proxy.echo(value=-math.inf) == -math.inf


async def test_a_result_that_cannot_cross_is_an_error_at_its_caller(amq: AmqBrokerConnector) -> None:
    proxy = await amq.rpc_proxy("shop", "one", "till")
    for what, path in (("set", r"result\[0\]"), ("keys", "result"), ("cyclic", r"result\[0\]")):
        with pytest.raises(PayloadError, match=path) as caught:
            await proxy.make(what=what)
        assert caught.value.may_have_run
    assert len(await proxy.make(what="long")) == 50_000


async def test_what_is_too_large_is_refused_where_it_is_made(vhost: str) -> None:
    async with connector(vhost, options={"max_message": 10_000}) as amq:
        await amq.rpc_register(Till())
        proxy = await amq.rpc_proxy("shop", "one", "till")
        with pytest.raises(PayloadError, match=r"10000.*max_message") as caught:
            proxy.echo(value="x" * 10_000)
        assert caught.value.fate == "not sent"
        with pytest.raises(PayloadError, match=r"10000.*max_message"):
            await proxy.make(what="long")
        assert await proxy.echo(value="x" * 9_000) == "x" * 9_000
