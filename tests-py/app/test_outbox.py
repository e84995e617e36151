"""The outbox: what was committed is told, what was not is not, whatever dies in between."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aio_pika
import httpx
import pytest
from harness import Program, Relay, free_port
from ironbridge.app import OutboxConfig
from ironbridge.errors import ConfigurationError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.outbox_shop import QUICK, Ordered, rows, serving
from app.waiting import until

TABLE = QUICK.table


class Told:
    """What the bus has told of orders: numbers and message ids, as they came."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.ids: list[str | None] = []

    async def take(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        self.numbers.append(Ordered.model_validate_json(message.body).number)
        self.ids.append(message.message_id)
        await message.ack()


@pytest.fixture
def bus(vhost: str) -> str:
    return f"{vhost}?exchange=shop"


@pytest.fixture
async def told(bus: str) -> AsyncIterator[Told]:
    """Hears of all orders, from now on."""
    told = Told()
    async with await aio_pika.connect(bus.partition("?")[0]) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange("shop", "topic", durable=True)
        queue = await channel.declare_queue("told")
        await queue.bind(exchange, "order.made.#")
        await queue.consume(told.take)
        yield told


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


def numbers(path: Path) -> set[int]:
    with sqlite3.connect(path) as connection:
        return {one for (one,) in connection.execute("select number from orders")}


@pytest.mark.parametrize("bus_outside", [True, False])
async def test_what_is_committed_is_told_once_in_either_order_of_interceptors(
    bus: str, path: Path, told: Told, bus_outside: bool
) -> None:
    async with serving(bus, path, bus_outside=bus_outside) as client:
        assert (await client.post("/orders/1")).status_code == 200
        assert (await client.post("/orders/2", params={"then": "fail"})).status_code == 500
        assert (await client.post("/orders/1")).status_code == 500  # the commit fails: there is such a row
        assert (await client.post("/orders/3")).status_code == 200
        await until(lambda: len(told.numbers) == 2)
        await until(lambda: rows(path, TABLE) == 0)
    assert told.numbers == [1, 3] and numbers(path) == {1, 3}
    assert len(set(told.ids)) == 2 and None not in told.ids


async def test_a_broker_that_is_away_fails_no_request_and_is_told_when_it_is_back(
    bus: str, path: Path, told: Told
) -> None:
    user, _, place = bus.removeprefix("amqp://").rpartition("@")
    address, _, rest = place.partition("/")
    host, _, port = address.partition(":")
    with Relay((host, int(port))) as relay:
        own_host, own_port = relay.address[0], relay.address[1]
        async with serving(f"amqp://{user}@{own_host}:{own_port}/{rest}", path) as client:
            relay.stop_reading()
            assert (await client.post("/orders/1")).status_code == 200
            assert told.numbers == [] and rows(path, TABLE) == 1
            relay.read_again()
            await until(lambda: 1 in told.numbers)
            await until(lambda: rows(path, TABLE) == 0)
    assert len(set(told.ids)) == 1  # twice, perhaps, and then with one id


async def test_a_task_that_nobody_takes_waits_for_whoever_will(bus: str, path: Path, told: Told) -> None:
    async with serving(bus, path) as client, await aio_pika.connect(bus.partition("?")[0]) as connection:
        assert (await client.post("/orders/1", params={"then": "wish"})).status_code == 200
        await until(lambda: rows(path, TABLE) == 1)
        channel = await connection.channel()
        queue = await channel.declare_queue("wanted")
        await queue.bind("shop", "order.wanted.#")
        await until(lambda: rows(path, TABLE) == 0)
        assert (await queue.get(timeout=5)).body == b'{"number":1}'


async def test_a_delayed_message_is_kept_with_its_time(bus: str, path: Path, told: Told) -> None:
    async with serving(bus, path) as client:
        assert (await client.post("/orders/1", params={"then": "delay"})).status_code == 200
        await until(lambda: told.numbers == [1, -1])


async def test_a_database_that_is_away_for_a_while_is_cleared_when_it_is_back(
    bus: str, path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, failures = AsyncEngine.begin, 0

    def refused(engine: AsyncEngine) -> Any:
        nonlocal failures
        failures += 1
        if failures <= 3:
            raise ConnectionRefusedError("no database here")
        return begin(engine)

    async with serving(bus, path) as client:
        monkeypatch.setattr(AsyncEngine, "begin", refused)
        assert (await client.post("/orders/1")).status_code == 200
        await until(lambda: failures > 3 and rows(path, TABLE) == 0)
    assert told.numbers == [1]


async def test_an_outbox_can_be_left_out(bus: str, path: Path, told: Told) -> None:
    async with serving(bus, path, outbox=False) as client:
        assert (await client.post("/orders/1")).status_code == 200
        await until(lambda: told.numbers == [1])
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        rows(path, TABLE)


async def test_an_outbox_that_cannot_be_is_told_at_start_up(bus: str, path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"'other', and the application has 'default'"):
        async with serving(bus, path, OutboxConfig("other")):
            pass
    with pytest.raises(ConfigurationError, match="the lease is longer"):
        OutboxConfig(send_timeout=5, lease=1)


class Shop:
    """The application as a process."""

    def __init__(self, bus: str, path: Path) -> None:
        self._bus, self._path = bus, path
        self.port = free_port()

    def run(self) -> Program:
        words = ["-m", "uvicorn", "app.outbox_shop:web_app", "--host", "127.0.0.1", "--port", str(self.port)]
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parent.parent),
            "SHOP_BUS": self._bus,
            "SHOP_DATABASE": f"sqlite+aiosqlite:///{self._path}",
        }
        program = Program([sys.executable, *words], env=environment)
        program.wait_line("Uvicorn running", 20)
        return program


async def test_nothing_that_a_client_was_told_of_is_lost_when_the_server_is_killed_again_and_again(
    bus: str, path: Path, told: Told
) -> None:
    process, answered, number = Shop(bus, path), set[int](), 0
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{process.port}", timeout=10) as client:

        async def order(number: int) -> None:
            try:
                if (await client.post(f"/orders/{number}")).status_code == 200:
                    answered.add(number)
            except httpx.TransportError:
                pass  # killed: whether it was made, the database knows

        for served in (5, 12, 19):
            with process.run() as program:
                before = len(answered)
                tasks = [asyncio.create_task(order(number + one)) for one in range(60)]
                number += 60
                await until(lambda before=before, served=served: len(answered) >= before + served)  # type: ignore[misc]
                program.kill()
                await asyncio.gather(*tasks)
    made = numbers(path)
    assert answered <= made and len(made) < number
    with process.run():
        await until(lambda: set(told.numbers) >= made)
        await until(lambda: rows(path, TABLE) == 0)
    assert set(told.numbers) == made
