"""What becomes of calls while the broker is away, and what is told of it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from harness import RabbitMQ, Relay, lenient
from ironbridge.errors import ConnectionLost, DeadlineExceeded, Overloaded
from ironbridge.fabric import AbstractServiceApi, AmqBrokerConnector, action

from fabric.clique import caller, eventually, served, server
from fabric.whole import Api, in_order

QUICK: dict[str, Any] = {"heartbeat": 1, "options": {"backoff_most": 0.2}}


async def _away(relay: Relay, states: list[str]) -> None:
    relay.refuse()
    relay.cut()
    await eventually(lambda: states.count("lost") >= 3, what="it tries again, and fails")


async def test_calls_made_while_the_broker_is_away(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    states: list[str] = []
    api = Api()
    with Relay(rabbitmq.address) as relay:
        through = rabbitmq.uri(vhost=vhost_name, at=relay.address)
        async with (
            server(rabbitmq.uri(vhost=vhost_name)) as serving,
            caller(through, on_state=states.append, **QUICK) as connector,
        ):
            await serving.rpc_register(api)
            service = await served(connector)
            assert await service.mirror(value=1) == 1
            await _away(relay, states)
            assert connector.is_open and connector.state in ("lost", "connecting")
            begun = time.monotonic()
            with pytest.raises(DeadlineExceeded, match="the broker is away") as failed:
                await service.with_options(timeout=0.3).hold(tag="late")
            assert failed.value.fate == "not sent"
            assert 0.25 < time.monotonic() - begun < lenient(1.5)
            waiting = [service.mirror(value=number) for number in range(50)]
            idempotent = service.with_options(idempotent=True).mirror(value="i")
            cancelled = service.hold(tag="cancelled")
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            assert not any(call.done() for call in waiting)
            relay.welcome()
            assert await asyncio.wait_for(asyncio.gather(*waiting), 10) == list(range(50))
            assert await asyncio.wait_for(idempotent, 10) == "i"
            assert api.held == [], "what nobody waits for any more, or failed before, is not sent"
            assert connector.stats()["calls_open"] == 0
            assert in_order(states), states


async def test_no_more_calls_wait_for_a_broker_than_are_let(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    states: list[str] = []
    with Relay(rabbitmq.address) as relay:
        through = rabbitmq.uri(vhost=vhost_name, at=relay.address)
        options = {"backoff_most": 0.2, "calls_in_flight": 10}
        async with caller(through, on_state=states.append, options=options) as connector:
            service = await served(connector, timeout=0.5)
            await _away(relay, states)
            calls = [service.mirror(value=number) for number in range(10)]
            with pytest.raises(Overloaded, match="calls_in_flight"):
                await service.mirror(value=10)
            for call in calls:
                with pytest.raises(DeadlineExceeded):
                    await call
            assert connector.stats()["calls_open"] == 0
            with pytest.raises(DeadlineExceeded):
                await service.mirror(value=11)


class Marked(AbstractServiceApi):
    """An API that says of its methods whether they may run twice."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.let = asyncio.Event()

    @action(idempotent=True)
    async def again(self, tag: str) -> str:
        self.runs.append(tag)
        await self.let.wait()
        return tag

    async def only_once(self, tag: str) -> str:
        self.runs.append(tag)
        await self.let.wait()
        return tag


async def test_calls_that_their_api_calls_idempotent_are_sent_again(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    api = Marked()
    with Relay(rabbitmq.address) as relay:
        through = rabbitmq.uri(vhost=vhost_name, at=relay.address)
        async with server(rabbitmq.uri(vhost=vhost_name)) as serving, caller(through, **QUICK) as connector:
            await serving.rpc_register(api)
            service: Marked = await served(connector, api=Marked)
            again, once = asyncio.ensure_future(service.again("a")), asyncio.ensure_future(service.only_once("b"))
            await eventually(lambda: len(api.runs) == 2)
            relay.cut()
            with pytest.raises(ConnectionLost) as failed:
                await asyncio.wait_for(once, 10)
            assert failed.value.fate == "outcome unknown"
            await eventually(lambda: api.runs.count("a") == 2)
            api.let.set()
            assert await asyncio.wait_for(again, 10) == "a"
            assert sorted(api.runs) == ["a", "a", "b"]


async def test_an_idempotent_call_still_ends_by_its_deadline(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    api = Api()
    with Relay(rabbitmq.address) as relay:
        through = rabbitmq.uri(vhost=vhost_name, at=relay.address)
        async with server(rabbitmq.uri(vhost=vhost_name)) as serving, caller(through, **QUICK) as connector:
            await serving.rpc_register(api)
            service = await served(connector, idempotent=True, timeout=1.0)
            call = service.hold(tag="a")
            await eventually(lambda: api.held)
            relay.refuse()
            relay.cut()
            with pytest.raises(DeadlineExceeded) as failed:
                await asyncio.wait_for(call, 10)
            assert failed.value.fate == "outcome unknown", "it was sent before"
            api.let.set()


async def test_a_call_whose_server_lost_its_connection_is_run_again_and_answered_once(
    rabbitmq: RabbitMQ, vhost_name: str
) -> None:
    api = Api()
    with Relay(rabbitmq.address) as relay:
        through = rabbitmq.uri(vhost=vhost_name, at=relay.address)
        steady = AmqBrokerConnector(rabbitmq.uri(vhost=vhost_name), "stage", "actor", "hamlet")
        async with server(through, **QUICK) as serving, caller(rabbitmq.uri(vhost=vhost_name)) as connector:
            await serving.rpc_register(api)
            service = await served(connector)
            call = service.hold(tag="a")
            await eventually(lambda: api.held)
            # Another one keeps the queue while the first is away.
            second = Api()
            async with steady:
                await steady.rpc_register(second)
                relay.cut()
                await eventually(lambda: len(api.held) + len(second.held) == 2)
                api.let.set()
                second.let.set()
                assert await asyncio.wait_for(call, 10) == ["a", True]
                for number in range(20):
                    assert await service.mirror(value=number) == number


async def test_a_call_is_answered_although_its_servers_connection_was_lost_meanwhile(
    rabbitmq: RabbitMQ, vhost_name: str
) -> None:
    api = Api()
    states: list[str] = []
    with Relay(rabbitmq.address) as relay:
        through = rabbitmq.uri(vhost=vhost_name, at=relay.address)
        async with (
            server(through, on_state=states.append, **QUICK) as serving,
            caller(rabbitmq.uri(vhost=vhost_name)) as connector,
        ):
            await serving.rpc_register(api)
            service = await served(connector)
            call = service.hold(tag="a")
            await eventually(lambda: api.held)
            relay.cut()
            await eventually(lambda: states.count("connected") == 2)
            queue = "stage.api.actor.hamlet::hold"
            await eventually(lambda: rabbitmq.queues(vhost_name).get(queue, {}).get("consumers") == 1)
            api.let.set()
            assert (await asyncio.wait_for(call, 10))[0] == "a"


async def test_states_are_told_in_order_and_on_the_loops_thread(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    states: list[tuple[str, str]] = []
    with Relay(rabbitmq.address) as relay:

        def told(state: str) -> None:
            asyncio.get_running_loop()
            states.append((state, connector.state))

        connector = caller(rabbitmq.uri(vhost=vhost_name, at=relay.address), on_state=told, **QUICK)
        assert connector.state == "new" and not connector.is_open
        async with connector:
            assert states == [("connecting", "connecting"), ("connected", "connected")]
            relay.cut()
            await eventually(lambda: len(states) >= 5)
            rabbitmq.block()
            try:
                # The broker tells those who publish.
                published = connector.publish_data(b"", {})
                await eventually(lambda: connector.state == "blocked")
            finally:
                rabbitmq.unblock()
            await eventually(lambda: connector.state == "connected")
            await published
    assert [state for state, _ in states] == [
        "connecting", "connected", "lost", "connecting", "connected", "blocked", "unblocked", "closed",
    ]  # fmt: skip
    assert all(seen == ("connected" if state == "unblocked" else state) for state, seen in states)
    assert connector.state == "closed" and not connector.is_open


async def test_a_state_hook_that_fails_harms_nothing(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    told: list[str] = []

    def fails(state: str) -> None:
        told.append(state)
        raise RuntimeError(f"not {state}")

    loop = asyncio.get_running_loop()
    seen: list[object] = []
    loop.set_exception_handler(lambda loop, context: seen.append(context.get("exception")))
    with Relay(rabbitmq.address) as relay:
        async with (
            server(rabbitmq.uri(vhost=vhost_name)) as serving,
            caller(rabbitmq.uri(vhost=vhost_name, at=relay.address), on_state=fails, **QUICK) as connector,
        ):
            await serving.rpc_register(Api())
            service = await served(connector)
            assert await service.mirror(value=1) == 1
            relay.cut()
            await eventually(lambda: told.count("connected") == 2)
            assert await service.mirror(value=2) == 2
    assert told == ["connecting", "connected", "lost", "connecting", "connected", "closed"]
