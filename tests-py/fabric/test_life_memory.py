"""What is closed, or forgotten, leaves nothing in memory."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import weakref
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from harness import RabbitMQ, Relay, wait_until
from ironbridge.errors import IronbridgeError
from ironbridge.fabric import AmqpHandler

from fabric.clique import caller, eventually, served, server
from fabric.whole import Api, Whole


def engine_threads() -> int:
    """Threads of the fabric's engine in this process."""
    count = 0
    for task in os.listdir("/proc/self/task"):
        try:
            count += Path(f"/proc/self/task/{task}/comm").read_text().startswith("ironbridge-fab")
        except OSError:
            continue
    return count


def _gone(reference: weakref.ref[Any]) -> bool:
    gc.collect()
    return reference() is None


class Service:
    """As programs are written: it keeps its connector, a proxy, a subscription and a handler, and is told by it."""

    def __init__(self, uri: str) -> None:
        self.connector = server(uri, on_state=self.on_state, on_error=self.on_error, keep_alive_seconds=3600)
        self.states: list[str] = []

    def on_state(self, state: str) -> None:
        self.states.append(state)

    def on_error(self, error: BaseException, place: str) -> None:
        self.states.append(place)

    async def on_data(self, message: object) -> None:
        self.states.append("data")

    async def begin(self) -> None:
        await self.connector.open()
        self.api = Api()
        self.api.service = self  # type: ignore[attr-defined]
        await self.connector.rpc_register(self.api)
        self.proxy = await served(self.connector, api=Api)
        assert await self.proxy.mirror(1) == 1
        self.subscription = await self.connector.subscribe_data("sub", {"n": 1}, self.on_data)
        self.watch = self.connector.subscribe_service_keepalives("watch", self.on_data)
        self.handler = AmqpHandler()
        await self.connector.init_logging_handler(self.handler)
        await self.connector.publish_data(b"", {"n": 1})
        await eventually(lambda: "data" in self.states)


async def test_a_closed_service_is_collected(vhost: str) -> None:
    service = Service(vhost)
    await service.begin()
    await service.connector.close()
    references = [weakref.ref(service), weakref.ref(service.connector), weakref.ref(service.api)]
    del service
    for reference in references:
        await eventually(lambda one=reference: _gone(one), what=f"{reference} is gone")  # type: ignore[misc]
    assert engine_threads() == 0


def test_a_connector_whose_loop_has_ended_is_collected_and_its_connection_ends(
    rabbitmq: RabbitMQ, vhost: str, vhost_name: str
) -> None:
    states: list[str] = []

    async def begin() -> weakref.ref[Any]:
        connector = caller(vhost, on_state=states.append, keep_alive_seconds=3600)
        await connector.open()
        await served(connector)
        await connector.publish_data(b"", {})
        return weakref.ref(connector)

    reference = asyncio.run(begin())
    wait_until(lambda: _gone(reference), what="the connector is gone")
    wait_until(lambda: engine_threads() == 0, what="its thread ends")
    wait_until(lambda: not [one for one in rabbitmq.connections() if one["vhost"] == vhost_name])


async def test_a_connector_that_was_never_opened_is_collected(vhost: str) -> None:
    connector = caller(vhost, on_state=print)
    reference = weakref.ref(connector)
    del connector
    assert _gone(reference)


async def test_what_calls_and_messages_carried_is_not_kept(vhost: str) -> None:
    class Large(Api):
        async def fail(self) -> None:
            raise ValueError(Weighty())

    class Weighty:
        """What an exception carries."""

    async with server(vhost) as serving, caller(vhost) as connector:
        api = Large()
        await serving.rpc_register(api)
        service = await served(connector, timeout=20)

        async def turn() -> None:
            await asyncio.gather(*(service.mirror(value="x" * 10_000) for _ in range(50)))
            for _ in range(10):
                with pytest.raises(IronbridgeError):
                    await service.fail()
            calls = [asyncio.ensure_future(service.hold(tag=str(number))) for number in range(10)]
            await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

        def counted() -> dict[str, int]:
            gc.collect()
            kinds = ("Future", "Task", "Weighty", "ValueError", "Context")
            found = [type(one).__name__ for one in gc.get_objects()]
            return {kind: found.count(kind) for kind in kinds}

        for _ in range(3):
            await turn()
        api.let.set()
        await eventually(lambda: serving.stats()["calls_running"] == 0)
        before = counted()
        for _ in range(3):
            await turn()
        await eventually(lambda: serving.stats()["calls_running"] == 0)
        after = counted()
        assert all(after[kind] <= before[kind] + 3 for kind in before), (before, after)


async def test_one_outbound_connection_and_no_listening_socket(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    process = psutil.Process()
    before = {(one.fd, one.status) for one in process.net_connections("inet")}
    with Relay(rabbitmq.address) as relay:
        known = {one.fd for one in process.net_connections("inet")}
        through = rabbitmq.uri(vhost=vhost_name, at=relay.address)
        async with Whole(rabbitmq.uri(vhost=vhost_name), server_uri=through) as whole:
            await whole.works()
            port = relay.address[1]
            ours = [one for one in process.net_connections("inet") if one.fd not in known]
            assert not [one for one in ours if one.status == psutil.CONN_LISTEN]
            assert len([one for one in ours if one.raddr and one.raddr.port == port]) == 1
            assert relay.accepted == 1
    assert {(one.fd, one.status) for one in process.net_connections("inet")} <= before


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_a_thousand_reconnects_leave_memory_flat(
    rabbitmq: RabbitMQ, vhost_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    process = psutil.Process()
    # What is logged of each loss would be kept for the report.
    caplog.set_level(logging.CRITICAL, "ironbridge.fabric")

    async def again(times: int) -> None:
        for _ in range(times):
            lost = whole.states.count("lost"), whole.server_states.count("lost")
            relay.cut()
            await eventually(
                lambda: whole.states.count("lost") > lost[0] and whole.server_states.count("lost") > lost[1]  # noqa: B023
            )
            await whole.works()
            whole.data.clear()
            whole.records.clear()

    with Relay(rabbitmq.address) as relay:
        async with Whole(rabbitmq.uri(vhost=vhost_name, at=relay.address)) as whole:
            await whole.works()
            await again(200)
            gc.collect()
            before, threads, files = process.memory_info().rss, threading.active_count(), process.num_fds()
            await again(800)
            gc.collect()
            assert process.memory_info().rss - before < 4 << 20
            assert threading.active_count() <= threads + 1
            assert process.num_fds() <= files + 2
