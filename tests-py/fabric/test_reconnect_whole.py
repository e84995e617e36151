"""However the connection ends, all comes back by itself: calls, serving, subscriptions, keep-alives and logs."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import DOWN, RabbitMQ, Relay
from ironbridge.errors import ConnectionLost

from fabric.clique import eventually
from fabric.whole import Whole, in_order


def _cut(relay: Relay, broker: RabbitMQ) -> None:
    relay.cut()


def _half_closed_by_the_broker(relay: Relay, broker: RabbitMQ) -> None:
    relay.half_close(DOWN)


def _cut_within_a_frame(relay: Relay, broker: RabbitMQ) -> None:
    relay.cut_after(DOWN, 3)


def _closed_by_an_operator(relay: Relay, broker: RabbitMQ) -> None:
    broker.close_connections()


def _garbled(relay: Relay, broker: RabbitMQ) -> None:
    relay.change(DOWN, lambda piece: b"\xff" * len(piece))


def _silent(relay: Relay, broker: RabbitMQ) -> None:
    relay.stop_reading()


@pytest.mark.parametrize(
    "end",
    [
        _cut,
        _half_closed_by_the_broker,
        _cut_within_a_frame,
        _closed_by_an_operator,
        _garbled,
        _silent,
    ],
)
async def test_all_comes_back(rabbitmq: RabbitMQ, vhost_name: str, end: Callable[[Relay, RabbitMQ], None]) -> None:
    with Relay(rabbitmq.address) as relay:
        async with Whole(rabbitmq.uri(vhost=vhost_name, at=relay.address)) as whole:
            await whole.works()
            call = whole.service.hold(tag="under way")
            again = whole.service.with_options(idempotent=True).hold(tag="idempotent")
            await eventually(lambda: len(whole.api.held) == 2)
            end(relay, rabbitmq)
            await whole.lost()
            with pytest.raises(ConnectionLost) as failed:
                await asyncio.wait_for(call, 10)
            assert failed.value.fate == "outcome unknown"
            relay.change(DOWN, None)
            relay.read_again()
            await whole.works()
            whole.api.let.set()
            assert (await asyncio.wait_for(again, 10))[0] == "idempotent"
            assert in_order(whole.states), whole.states
            assert in_order(whole.server_states), whole.server_states
            assert len([one for one in rabbitmq.connections() if one["vhost"] == vhost_name]) == 2
    assert whole.states[-1] == whole.server_states[-1] == "closed"
    await _nothing_is_left(rabbitmq, vhost_name)


async def _nothing_is_left(broker: RabbitMQ, vhost: str) -> None:
    await eventually(lambda: not [one for one in broker.connections() if one["vhost"] == vhost], what="no connection")
    await eventually(lambda: not broker.queues(vhost), what="no queue")
    await eventually(lambda: not _engine_threads(), what="no thread of the engine")
    assert asyncio.all_tasks() == {asyncio.current_task()}


def _engine_threads() -> list[str]:
    """Threads of the fabric's engine in this process."""
    names = []
    for task in os.listdir("/proc/self/task"):
        try:
            names.append(Path(f"/proc/self/task/{task}/comm").read_text().strip())
        except OSError:
            continue
    return [name for name in names if name.startswith("ironbridge-fab")]


async def test_a_restarted_broker(own_rabbitmq: RabbitMQ) -> None:
    async with Whole(own_rabbitmq.uri()) as whole:
        await whole.works()
        call = whole.service.hold(tag="under way")
        again = whole.service.with_options(idempotent=True).hold(tag="idempotent")
        await eventually(lambda: len(whole.api.held) == 2)
        await asyncio.to_thread(own_rabbitmq.restart)
        with pytest.raises(ConnectionLost) as failed:
            await asyncio.wait_for(call, 10)
        assert failed.value.fate == "outcome unknown"
        await whole.works()
        whole.api.let.set()
        assert (await asyncio.wait_for(again, 10))[0] == "idempotent"
        assert in_order(whole.states), whole.states
        assert len(own_rabbitmq.connections()) == 2
    await _nothing_is_left(own_rabbitmq, "/")


async def test_a_broker_that_stands_still_for_longer_than_the_heartbeat(own_rabbitmq: RabbitMQ) -> None:
    async with Whole(own_rabbitmq.uri()) as whole:
        await whole.works()
        call = whole.service.hold(tag="under way")
        await eventually(lambda: whole.api.held)
        own_rabbitmq.freeze()
        await whole.lost()
        with pytest.raises(ConnectionLost) as failed:
            await asyncio.wait_for(call, 10)
        assert failed.value.fate == "outcome unknown"
        own_rabbitmq.thaw()
        await whole.works()
        assert in_order(whole.states), whole.states
        await eventually(lambda: len(own_rabbitmq.connections()) == 2, what="the old connections are gone")
    await _nothing_is_left(own_rabbitmq, "/")


async def test_reconnecting_again_and_again_leaves_nothing_over(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    with Relay(rabbitmq.address) as relay:
        async with Whole(rabbitmq.uri(vhost=vhost_name, at=relay.address)) as whole:

            def held() -> tuple[list[int], list[str], int, int]:
                here = [one for one in rabbitmq.connections() if one["vhost"] == vhost_name]
                channels = sorted(one["channels"] for one in here)
                queues = sorted(_renamed(name) for name in rabbitmq.queues(vhost_name))
                # Those of the loop's executor come as the test itself asks for them.
                threads = [one for one in threading.enumerate() if not one.name.startswith("asyncio_")]
                return channels, queues, len(threads), len(os.listdir("/proc/self/fd"))

            async def again(times: int) -> None:
                for _ in range(times):
                    lost = whole.states.count("lost") + 1
                    relay.cut()
                    await eventually(
                        lambda: whole.states.count("lost") >= lost <= whole.server_states.count("lost"),  # noqa: B023
                    )
                    await whole.works()

            # What grows to its bound at first, such as threads, has done so then.
            await again(3)
            before = await _settled(held)
            await again(3)
            after = await _settled(held)
            assert after[:3] == before[:3]
            assert after[3] <= before[3] + 2, "file descriptors"


async def _settled(held: Callable[[], Any]) -> Any:
    """What is held once nothing has changed for a while: what is asked beside comes and goes."""
    last, same = None, 0
    while same < 5:
        await asyncio.sleep(0.05)
        now = held()
        same = same + 1 if now == last else 0
        last = now
    return last


def _renamed(queue: str) -> str:
    """A queue's name; those that are made up are all alike."""
    return queue[:4] if queue.startswith(("amq.gen", "amq_")) else queue
