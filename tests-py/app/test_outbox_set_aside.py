"""Messages that are refused again and again: tried less and less often, set aside, and looked after by hand."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import aio_pika
import pytest
from harness import free_port
from ironbridge._app.bus.set_aside import SetAside
from ironbridge.errors import ConfigurationError, ServiceUnavailable

from app.outbox_shop import QUICK, rows, serving
from app.waiting import until

TABLE = QUICK.table


@pytest.fixture
def bus(vhost: str) -> str:
    return f"{vhost}?exchange=shop"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


async def test_a_task_that_nobody_takes_for_long_is_set_aside_shown_and_sent_again_when_somebody_says_so(
    bus: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite+aiosqlite:///{path}"
    impatient = replace(QUICK, max_refusals=2, longest_wait=0.1)
    async with serving(bus, path, impatient) as client, SetAside(url, TABLE) as aside:
        for number in (1, 2):
            assert (await client.post(f"/orders/{number}", params={"then": "wish"})).status_code == 200

        async def both_are_aside() -> bool:
            return len(await aside.list()) == 2

        await until(both_are_aside)
        assert "`ironbridge app outbox`" in caplog.text
        [first] = await aside.list(limit=1)
        assert (first.topic, first.body, first.refusals) == ("order.wanted", b'{"number":1}', 2)
        assert first.error and "nobody takes the topic 'order.wanted'" in first.error
        assert await aside.list(topic="another") == [] and await aside.requeue("another") == 0

        def command(*words: str) -> str:
            program = [sys.executable, "-m", "ironbridge.cli", "app", "outbox", *words]
            options = ["--database-url", url, "--table", TABLE]
            return subprocess.run([*program, *options], capture_output=True, text=True, check=True, timeout=30).stdout

        shown = json.loads(await asyncio.to_thread(command, "list", "--json", "--show-body"))
        assert (shown[0]["message_id"], shown[0]["body"]) == (first.message_id, '{"number":1}')
        async with await aio_pika.connect(bus.partition("?")[0]) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("wanted")
            await queue.bind("shop", "order.wanted.#")
            assert "2 will be sent again" in await asyncio.to_thread(command, "requeue")
            await until(lambda: rows(path, TABLE) == 0)
            assert {(await queue.get(timeout=5)).body for _ in range(2)} == {b'{"number":1}', b'{"number":2}'}


async def test_what_was_set_aside_can_be_dropped(bus: str, path: Path) -> None:
    aside = SetAside(f"sqlite+aiosqlite:///{path}", TABLE)
    async with serving(bus, path, replace(QUICK, max_refusals=1)) as client, aside:
        await client.post("/orders/1", params={"then": "wish"})

        async def is_aside() -> bool:
            return len(await aside.list()) == 1

        await until(is_aside)
        assert (await aside.drop("another"), await aside.drop("order.wanted")) == (0, 1)
        await until(lambda: rows(path, TABLE) == 0)


async def test_a_table_that_is_not_there_and_a_url_that_is_none_are_told(tmp_path: Path) -> None:
    async with SetAside(f"sqlite+aiosqlite:///{tmp_path}/none.db") as aside:
        with pytest.raises(ServiceUnavailable, match="ironbridge_outbox"):
            await aside.list()
    for url in ("nothing", "unknown://host/db"):
        with pytest.raises(ConfigurationError, match="no database"):
            SetAside(url)


@pytest.mark.parametrize(("then", "why"), [("key", "idempotency keys need a backend"), ("shout", "longer than 255")])
async def test_a_message_that_cannot_be_sent_as_it_is_is_set_aside_too_and_holds_up_no_other(
    bus: str, path: Path, then: str, why: str
) -> None:
    impatient = replace(QUICK, max_refusals=2, longest_wait=0.1)
    async with serving(bus, path, impatient) as client, SetAside(f"sqlite+aiosqlite:///{path}", TABLE) as aside:
        assert (await client.post("/orders/1", params={"then": then})).status_code == 200

        async def is_aside() -> bool:
            return len(await aside.list()) == 1

        await until(is_aside)
        [one] = await aside.list()
        assert one.refusals == 2 and one.error is not None and why in one.error
        await until(lambda: rows(path, TABLE) == 1)  # that the order was made is told


async def test_each_wait_is_twice_as_long_up_to_a_bound(bus: str, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = replace(QUICK, send_timeout=0.04, lease=0.05, poll=0.01, max_refusals=6, longest_wait=0.3)
    async with serving(bus, path, config) as client, SetAside(f"sqlite+aiosqlite:///{path}", TABLE) as aside:
        await client.post("/orders/1", params={"then": "wish"})

        async def is_aside() -> bool:
            return len(await aside.list()) == 1

        await until(is_aside)
    waits = [one.args[-1] for one in caplog.records if one.args and "is sent again in" in one.msg]  # type: ignore[index]
    assert waits == pytest.approx([0.05, 0.1, 0.2, 0.3, 0.3])
    [last] = [one for one in caplog.records if "is set aside" in one.msg]
    assert last.levelname == "ERROR" and "6 times" in last.getMessage()


@pytest.mark.parametrize("what", ["broker", "backend"])
async def test_an_outage_is_no_refusal_however_long_it_is(bus: str, path: Path, what: str) -> None:
    config = replace(QUICK, max_refusals=1, lease=0.1, send_timeout=0.09 if what == "backend" else 1e-6)
    nobody = f"redis://127.0.0.1:{free_port()}" if what == "backend" else None
    async with serving(bus, path, config, backend=nobody) as client:
        assert (await client.post("/orders/1", params={"then": "delay"})).status_code == 200
        dues = set[float]()

        def tried_thrice() -> bool:
            with sqlite3.connect(path) as connection:
                found = connection.execute(f"select due_at, refusals from {TABLE} where envelope like '%\"at\"%'")
                [(due, refusals)] = found.fetchall()
            dues.add(due)
            assert refusals == 0
            return len(dues) >= 3

        await until(tried_thrice)
