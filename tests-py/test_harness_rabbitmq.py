"""The private RabbitMQ: started, asked, restarted and killed, beside others of its kind."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path

import aiormq
import psutil  # type: ignore[import-untyped]
import pytest
from harness import Authority, RabbitMQ, wait_until
from harness.net import dial

PERSISTENT = aiormq.spec.Basic.Properties(delivery_mode=2)


@pytest.fixture(scope="module")
def shared() -> Iterator[RabbitMQ]:
    with RabbitMQ() as broker:
        yield broker


@pytest.fixture
def broker(shared: RabbitMQ) -> RabbitMQ:
    if not shared.running:
        shared.start()
    shared.reset()
    return shared


async def test_it_tells_of_queues_exchanges_bindings_and_connections(broker: RabbitMQ) -> None:
    broker.add_vhost("a/b é")
    broker.add_user("bob", "a:b@c", "a/b é")
    async with aiormq.Connection(broker.uri("bob", "a:b@c", "a/b é")) as connection:
        channel = await connection.channel()
        await channel.exchange_declare("things", exchange_type="headers", durable=True)
        await channel.queue_declare("kept", durable=True, arguments={"x-max-length": 5})
        await channel.queue_bind("kept", "things", "key", arguments={"x-match": "all", "kind": "one"})
        await channel.basic_publish(b"hello", routing_key="kept")
        (client,) = broker.connections()
        assert (client["user"], client["vhost"], client["channels"]) == ("bob", "a/b é", 1)
    queue = broker.queues("a/b é")["kept"]
    assert (queue["durable"], queue["arguments"], queue["consumers"]) == (True, {"x-max-length": 5}, 0)
    assert queue["messages"] == 1
    assert broker.exchanges("a/b é")["things"]["type"] == "headers"
    (bound,) = (row for row in broker.bindings("a/b é") if row["source_name"] == "things")
    assert bound["arguments"] == {"x-match": "all", "kind": "one"}
    assert broker.queues() == {}


async def test_a_stream_is_read_again_from_its_beginning(broker: RabbitMQ) -> None:
    async with aiormq.Connection(broker.uri()) as connection:
        channel = await connection.channel()
        await channel.queue_declare("stream", durable=True, arguments={"x-queue-type": "stream"})
        for body in (b"one", b"two"):
            await channel.basic_publish(body, routing_key="stream")
        await channel.basic_qos(prefetch_count=10)
        for _ in range(2):
            heard: asyncio.Queue[bytes] = asyncio.Queue()

            async def hear(message: aiormq.abc.DeliveredMessage, into: asyncio.Queue[bytes] = heard) -> None:
                into.put_nowait(message.body)

            await channel.basic_consume("stream", hear, arguments={"x-stream-offset": "first"})
            assert [await asyncio.wait_for(heard.get(), 10) for _ in range(2)] == [b"one", b"two"]


async def test_it_closes_connections_and_deletes_queues_and_blocks_publishers(broker: RabbitMQ) -> None:
    connection = aiormq.Connection(broker.uri())
    await connection.connect()
    channel = await connection.channel()
    await channel.queue_declare("there")
    assert list(broker.queues()) == ["there"]
    broker.delete_queue("there")
    assert broker.queues() == {}
    broker.block()
    wait_until(lambda: broker.connections()[0]["state"] == "blocking")  # until it publishes
    broker.unblock()
    wait_until(lambda: broker.connections()[0]["state"] == "running")
    broker.close_connections("enough")
    with pytest.raises(aiormq.exceptions.ConnectionClosed, match="enough"):
        await asyncio.wait_for(asyncio.shield(connection.closing), 10)
    wait_until(lambda: broker.connections() == [])


def test_what_it_cannot_evaluate_is_an_error(broker: RabbitMQ) -> None:
    assert broker.eval("1 + 1") == "2"
    assert broker.eval('<<"text é"/utf8>>') == "text é"
    with pytest.raises(RuntimeError, match="badarith"):
        broker.eval("1 / 0")


async def test_durable_messages_outlive_a_restart_and_a_kill(broker: RabbitMQ) -> None:
    async with aiormq.Connection(broker.uri()) as connection:
        channel = await connection.channel()
        await channel.queue_declare("kept", durable=True)
        await channel.basic_publish(b"hello", routing_key="kept", properties=PERSISTENT)
    port = broker.port
    broker.restart()
    assert broker.queues()["kept"]["messages"] == 1
    broker.kill()
    assert broker.process.returncode == -signal.SIGKILL
    with pytest.raises(ConnectionRefusedError):
        dial(broker.address, 5)
    broker.start()
    assert (broker.port, broker.queues()["kept"]["messages"]) == (port, 1)


def test_a_frozen_broker_does_not_answer_until_it_thaws(broker: RabbitMQ) -> None:
    broker.freeze()
    with dial(broker.address, 0.1) as stream:
        stream.sendall(b"AMQP\0\0\x09\x01")
        with pytest.raises(TimeoutError):
            stream.recv(1)
        broker.thaw()
        stream.settimeout(10)
        assert stream.recv(1) == b"\x01"


async def test_another_beside_it_asks_for_certificates_and_leaves_nothing_behind(
    broker: RabbitMQ, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("client")
    with RabbitMQ(authority=authority, ask_certificate=True) as other:
        family = psutil.Process(other.process.pid).children(recursive=True)
        uri = f"{other.uri(tls=True)}?cafile={authority.ca}"
        with pytest.raises((ssl.SSLError, aiormq.AMQPConnectionError)):
            await aiormq.Connection(uri).connect()
        async with aiormq.Connection(f"{uri}&certfile={certificate}&keyfile={key}"):
            assert [client["ssl"] for client in other.connections()] == [True]
            assert broker.connections() == []
        other.eval("rabbit_nodes_common:ensure_epmd()")
        pid, folder = other.process.pid, other.folder
    assert not folder.exists()
    assert not psutil.pid_exists(pid)
    gone, alive = psutil.wait_procs(family, 10)
    assert gone and not alive
    assert [each for each in psutil.process_iter() if _home(each) == str(folder)] == []


def _home(process: psutil.Process) -> str | None:
    try:
        home: str | None = process.environ().get("HOME")
    except psutil.Error:
        return None
    return home
