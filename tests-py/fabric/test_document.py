"""The document's own code, only its imports changed, and unchanged under `python -m ironbridge.compat`."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Program, RabbitMQ, wait_until
from ironbridge.fabric import AmqBrokerConnector, AmqpHandler, IncomingMessage, ServiceUnavailable

EXAMPLES = Path(__file__).parents[2] / "examples" / "fabric"
URI = "amqp://guest:guest@127.0.0.1/"
MULTIPLY = "my_project.api.server_app.my_app::multiply"

Start = Callable[[str], Program]


@pytest.fixture(params=["ironbridge.fabric", "compat"])
def start(request: pytest.FixtureRequest, vhost: str, tmp_path: Path) -> Start:
    """Starts one of the document's programs at the test's broker."""
    original = request.param == "compat"
    for name in ("server.py", "client.py"):
        source = (EXAMPLES / name).read_text()
        assert source.count(URI) == 1
        assert "from ironbridge.fabric." in source
        source = source.replace(URI, vhost)
        (tmp_path / name).write_text(source.replace("ironbridge.fabric", "amqp_fabric") if original else source)

    def start(name: str) -> Program:
        way = ["-m", "ironbridge.compat"] if original else []
        return Program([sys.executable, "-u", "-W", "error", *way, name], cwd=tmp_path)

    return start


def connector(uri: str, name: str, **settings: object) -> AmqBrokerConnector:
    return AmqBrokerConnector(uri, "my_project", "test", name, **settings)  # type: ignore[arg-type]


def serves(rabbitmq: RabbitMQ, vhost_name: str, servers: int = 1) -> None:
    """Returns when so many servers take calls."""

    def served() -> bool:
        return bool(rabbitmq.queues(vhost_name).get(MULTIPLY, {}).get("consumers", 0) == servers)

    wait_until(served, what=f"{servers} servers of {MULTIPLY}")


def wait_idle(vhost: str, *servers: Program) -> None:
    """Returns when each has answered, and has nothing more to do: then Ctrl+C finds it where the document expects it."""
    with connector(vhost, "visitor") as amq:
        proxy = amq.rpc_proxy("my_project", "my_app", "server_app")
        for number in range(2 * len(servers)):
            assert proxy.multiply(x=number, y=2) == 2 * number
    for server in servers:
        wait_until(server.waits, what="the server waits")


def test_the_client_prints_what_the_server_computed(start: Start, rabbitmq: RabbitMQ, vhost_name: str) -> None:
    with start("server.py") as server:
        serves(rabbitmq, vhost_name)
        with start("client.py") as client:
            assert client.wait_exit() == 0, client.output
            assert (client.stdout, client.stderr) == (["result = 35"], [])
        assert server.returncode is None
        assert server.output == ""


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM)])
async def test_ended_the_server_is_gone_at_once(
    start: Start, rabbitmq: RabbitMQ, vhost: str, vhost_name: str, how: signal.Signals, code: int
) -> None:
    async with connector(vhost, "caller") as amq:
        with start("server.py") as server:
            await asyncio.to_thread(serves, rabbitmq, vhost_name)
            proxy = await amq.rpc_proxy("my_project", "my_app", "server_app")
            assert await proxy.multiply(x=2, y=3) == 6
            await asyncio.to_thread(wait_idle, vhost, server)
            server.signal(how)
            assert await asyncio.to_thread(server.wait_exit) == code, server.output
            assert server.output == ""
        await asyncio.to_thread(serves, rabbitmq, vhost_name, 0)
        with pytest.raises(ServiceUnavailable) as refused:
            await proxy.multiply(x=2, y=3)
        assert refused.value.fate == "rejected"


def test_when_one_of_a_clique_ends_the_other_answers(
    start: Start, rabbitmq: RabbitMQ, vhost: str, vhost_name: str
) -> None:
    with start("server.py") as one, start("server.py") as other:
        serves(rabbitmq, vhost_name, 2)
        wait_idle(vhost, one, other)
        one.interrupt()
        assert one.wait_exit() == 0, one.output
        with start("client.py") as client:
            assert client.wait_exit() == 0, client.output
            assert client.stdout == ["result = 35"]
        other.interrupt()
        assert other.wait_exit() == 0, other.output


async def test_the_servers_are_listed_with_no_option_set(
    start: Start, rabbitmq: RabbitMQ, vhost: str, vhost_name: str
) -> None:
    expected = {"domain": "my_project", "type": "server_app", "id": "my_app"}
    with start("server.py") as server:
        await asyncio.to_thread(serves, rabbitmq, vhost_name)
        async with connector(vhost, "lister") as amq:
            await asyncio.to_thread(wait_until, lambda: expected in amq.list_services(), what="the server is listed")
            assert amq.list_services("my_project", "server_app") == [expected]
            assert amq.list_services(service_type="client_app") == []
            await asyncio.to_thread(wait_idle, vhost, server)
            server.interrupt()
            assert await asyncio.to_thread(server.wait_exit) == 0, server.output
            await asyncio.to_thread(wait_until, lambda: amq.list_services() == [], what="the server is not listed")


async def test_data_are_published_and_subscribed_to_without_await(
    rabbitmq: RabbitMQ, vhost: str, vhost_name: str
) -> None:
    taken: asyncio.Queue[tuple[bytes, object]] = asyncio.Queue()

    async def process_data(message: IncomingMessage) -> None:
        async with message.process():
            taken.put_nowait((message.body, message.headers["currency"]))

    async with connector(vhost, "accounting") as amq:
        subscription = amq.subscribe_data(
            subscriber_name="accountant", headers={"msg_type": "CUSTOMER_TRANSACTIONS"}, callback=process_data
        )
        queue = f"{amq.data_exchange}.accountant"
        await asyncio.to_thread(
            wait_until, lambda: rabbitmq.queues(vhost_name).get(queue, {}).get("consumers"), what="it subscribes"
        )
        items = {"msg": "Checkout committed", "order_total": 55, "products": ["book"]}
        encoded_msg = json.dumps(items, sort_keys=True, default=str).encode()
        amq.publish_data(encoded_msg, headers={"msg_type": "OTHERS", "currency": "EUR"})
        amq.publish_data(encoded_msg, headers={"msg_type": "CUSTOMER_TRANSACTIONS", "currency": "USD"})
        async with asyncio.timeout(10):
            assert await taken.get() == (encoded_msg, "USD")
        assert subscription.stats()["received"] == 1


async def test_what_was_published_right_before_the_end_is_not_lost(vhost: str) -> None:
    taken: list[bytes] = []
    everything = asyncio.Event()

    async def process_data(message: IncomingMessage) -> None:
        taken.append(message.body)
        if len(taken) == 300:
            everything.set()

    async with connector(vhost, "reader") as reader:
        await reader.subscribe_data("all", {"kind": "row"}, process_data)
        writer = connector(vhost, "writer")
        await writer.open(timeout=10)
        for number in range(300):
            writer.publish_data(str(number).encode(), headers={"kind": "row"})
        await writer.close()
        async with asyncio.timeout(10):
            await everything.wait()
    assert taken == [str(number).encode() for number in range(300)]


async def test_the_logging_handler_sends_the_programs_records(vhost: str) -> None:
    taken: asyncio.Queue[tuple[object, object, object]] = asyncio.Queue()

    async def record(message: IncomingMessage) -> None:
        taken.put_nowait((message.json(), message.headers["level_name"], message.headers["service_id"]))

    async with connector(vhost, "reader") as reader, connector(vhost, "writer") as writer:
        await reader.follow_logs(record)
        handler = AmqpHandler()
        logger = logging.getLogger("the document's program")
        logger.addHandler(handler)
        try:
            await writer.init_logging_handler(handler)
            logger.error("olá, %s", "mundo")
            await asyncio.to_thread(logger.warning, "from a thread")
            async with asyncio.timeout(10):
                assert await taken.get() == ("olá, mundo", "ERROR", "writer")
                assert await taken.get() == ("from a thread", "WARNING", "writer")
        finally:
            logger.removeHandler(handler)
