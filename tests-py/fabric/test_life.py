"""Opening, closing, and everything out of turn, on an event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from harness import RabbitMQ, Relay, free_port, lenient
from ironbridge.errors import ConfigurationError, ConnectionLost, IronbridgeError, ServiceUnavailable
from ironbridge.fabric import BrokerUnavailable

from fabric.clique import caller, eventually, served, server
from fabric.whole import Api


async def test_open_tries_until_its_time_is_over() -> None:
    states: list[str] = []
    connector = caller(f"amqp://guest:secret@127.0.0.1:{free_port()}/", on_state=states.append)
    begun = time.monotonic()
    with pytest.raises(BrokerUnavailable, match=r"could not be reached within 0\.6 s.*refused") as failed:
        await connector.open(timeout=0.6)
    assert 0.5 < time.monotonic() - begun < lenient(3)
    assert failed.value.fate == "not sent" and "secret" not in str(failed.value)
    assert not connector.is_open
    assert states[0] == "connecting" and states.count("lost") >= 2 and states[-1] == "closed"
    assert "connected" not in states
    await connector.close()


async def test_open_succeeds_when_the_broker_comes_up_meanwhile(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    states: list[str] = []
    with Relay(rabbitmq.address) as relay:
        relay.refuse()
        connector = caller(
            rabbitmq.uri(vhost=vhost_name, at=relay.address), on_state=states.append, options={"backoff_most": 0.2}
        )
        opening = asyncio.ensure_future(connector.open(timeout=20))
        await eventually(lambda: states.count("lost") >= 2)
        assert not opening.done()
        relay.welcome()
        await opening
        assert connector.state == "connected"
        await connector.close()


async def test_open_ends_in_its_time_when_the_peer_says_nothing(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    with Relay(rabbitmq.address) as relay:
        relay.stop_reading()
        connector = caller(rabbitmq.uri(vhost=vhost_name, at=relay.address))
        begun = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            await connector.open(timeout=0.5)
        assert time.monotonic() - begun < lenient(3)


async def test_a_cancelled_open_leaves_nothing(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    with Relay(rabbitmq.address) as relay:
        relay.refuse()
        connector = caller(rabbitmq.uri(vhost=vhost_name, at=relay.address))
        opening = asyncio.ensure_future(connector.open())
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await eventually(lambda: not connector.is_open)
        relay.welcome()
        async with connector:
            assert connector.state == "connected"


async def test_open_twice_and_close_twice(vhost: str, rabbitmq: RabbitMQ, vhost_name: str) -> None:
    connector = caller(vhost)
    await connector.close()
    first = asyncio.ensure_future(connector.open())
    with pytest.raises(ConfigurationError, match="open already"):
        await connector.open()
    await first
    with pytest.raises(ConfigurationError, match="open already"):
        await connector.open()
    assert len([one for one in rabbitmq.connections() if one["vhost"] == vhost_name]) == 1
    await asyncio.wait_for(asyncio.gather(connector.close(), connector.close(), asyncio.to_thread(connector.close)), 10)
    assert connector.state == "closed"
    await connector.close()


async def test_a_closed_connector_can_be_opened_again(vhost: str) -> None:
    states: list[str] = []
    api = Api()
    serving, connector = server(vhost, on_state=states.append), caller(vhost)
    for turn in range(3):
        async with serving, connector:
            await serving.rpc_register(api)
            service = await served(connector)
            assert await service.mirror(value=turn) == turn
            await serving.publish_data(b"", {})
    assert states == ["connecting", "connected", "closed"] * 3


BEFORE_AND_AFTER: dict[str, Any] = {
    "rpc_register": lambda one: one.rpc_register(Api()),
    "rpc_proxy": lambda one: one.rpc_proxy("stage", "hamlet", "actor"),
    "list_services": lambda one: one.list_services(),
    "publish_data": lambda one: one.publish_data(b"", {}),
    "subscribe_data": lambda one: one.subscribe_data("name", {}, print),
    "subscribe_service_keepalives": lambda one: one.subscribe_service_keepalives("name", print),
    "retain_data": lambda one: one.retain_data("name", {}),
    "follow_logs": lambda one: one.follow_logs(print),
}


@pytest.mark.parametrize("use", BEFORE_AND_AFTER)
async def test_use_before_and_after(vhost: str, use: str) -> None:
    async def used() -> None:
        result = BEFORE_AND_AFTER[use](connector)
        if hasattr(result, "__await__"):
            await result

    connector = caller(vhost)
    with pytest.raises(ServiceUnavailable, match="connector is not open"):
        await used()
    await connector.open()
    await connector.close()
    with pytest.raises(ServiceUnavailable, match="connector is not open"):
        await used()
    connector.stats()


async def test_a_proxy_outlives_its_connector_and_says_so(vhost: str) -> None:
    async with caller(vhost) as connector:
        service = await served(connector)
    with pytest.raises(ServiceUnavailable, match="connector is not open"):
        await service.mirror(value=1)


async def test_calls_under_way_end_when_their_caller_closes(vhost: str) -> None:
    api = Api()
    async with server(vhost) as serving:
        await serving.rpc_register(api)
        connector = caller(vhost)
        await connector.open()
        service = await served(connector)
        calls = [service.hold(tag="a"), service.with_options(idempotent=True).hold(tag="b")]
        blocked = asyncio.ensure_future(asyncio.to_thread(service.with_options(timeout=20).hold, tag="c"))
        await eventually(lambda: len(api.held) == 3)
        await connector.close()
        for call in [*calls, blocked]:
            with pytest.raises(ConnectionLost, match="closed before") as failed:
                await asyncio.wait_for(call, 5)
            assert failed.value.fate == "outcome unknown"
        api.let.set()


async def test_a_cancelled_call_is_forgotten(vhost: str) -> None:
    api = Api()
    async with server(vhost) as serving, caller(vhost) as connector:
        await serving.rpc_register(api)
        service = await served(connector)
        calls = [asyncio.ensure_future(service.hold(tag=str(number))) for number in range(10)]
        await eventually(lambda: len(api.held) == 10)
        for call in calls:
            call.cancel()
        assert all(
            isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*calls, return_exceptions=True)
        )
        await eventually(lambda: connector.stats()["calls_open"] == 0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(service.hold(tag="late"), 0.1)
        api.let.set()
        assert await service.mirror(value=1) == 1


async def test_any_awaitable_can_be_cancelled(rabbitmq: RabbitMQ, vhost: str, vhost_name: str) -> None:
    async with caller(vhost) as connector:
        for begin in (
            lambda: connector.publish_data(b"", {}),
            lambda: connector.rpc_register(Api()),
            lambda: connector.rpc_proxy("stage", "hamlet", "actor"),
            lambda: connector.retain_data("stream", {}),
        ):
            begun: Any = asyncio.ensure_future(begin())  # type: ignore[no-untyped-call]
            begun.cancel()
            with pytest.raises(asyncio.CancelledError):
                await begun
        # What was begun goes on.
        own = await connector.rpc_proxy("stage", "caller", "audience", idempotent=True)
        queue = "stage.api.audience.caller::mirror"
        await eventually(lambda: rabbitmq.queues(vhost_name).get(queue, {}).get("consumers") == 1)
        assert await own.mirror(value=3) == 3


async def test_from_another_thread_all_waits_and_returns(vhost: str) -> None:
    api = Api()
    got: list[bytes] = []
    async with server(vhost, keep_alive_seconds=0.2) as serving, caller(vhost) as connector:
        await serving.rpc_register(api)

        def work() -> tuple[Any, ...]:
            assert threading.current_thread() is not threading.main_thread()
            service: Any = connector.rpc_proxy("stage", "hamlet", "actor")
            subscription = connector.subscribe_data("thread", {"n": 1}, lambda message: got.append(message.body))
            connector.publish_data(b"from a thread", {"n": 1})
            with pytest.raises(IronbridgeError):
                service.with_options(timeout=0.05).hold(tag="a")
            connector.list_services()
            subscription.stats()
            connector.retain_data("kept", {"n": 1})
            answers = service.mirror(value=1), service.mirror_plain(value=2)
            subscription.cancel()
            return answers

        assert await asyncio.to_thread(work) == (1, 2)
        await eventually(lambda: got == [b"from a thread"])
        await asyncio.to_thread(connector.close)
        assert connector.state == "closed"
        api.let.set()


async def test_many_threads_and_the_loop_call_at_once(vhost: str) -> None:
    async with server(vhost) as serving, caller(vhost) as connector:
        await serving.rpc_register(Api())
        service = await served(connector)

        def work(first: int) -> list[int]:
            return [service.mirror(value=number) for number in range(first, first + 50)]

        in_threads = [asyncio.to_thread(work, 1000 * thread) for thread in range(8)]
        here = asyncio.gather(*(service.mirror_plain(value=number) for number in range(200)))
        assert await asyncio.gather(*in_threads) == [list(range(1000 * t, 1000 * t + 50)) for t in range(8)]
        assert await here == list(range(200))


async def test_a_method_may_call_publish_and_close_its_own_connector(vhost: str) -> None:
    class Inward(Api):
        async def again(self, value: int) -> Any:
            return await (await served(serving)).mirror(value=value)

        def again_plain(self, value: int) -> Any:
            serving.publish_data(b"", {})
            service: Any = serving.rpc_proxy("stage", "hamlet", "actor")
            return service.mirror_plain(value=value)

        async def end(self) -> str:
            self.ending = asyncio.ensure_future(serving.close(timeout=5))
            return "ends"

    api = Inward()
    serving = server(vhost, workers=4)
    await serving.open()
    async with caller(vhost) as connector:
        await serving.rpc_register(api)
        service = await served(connector)
        assert await service.again(value=1) == 1
        assert await service.again_plain(value=2) == 2
        assert await asyncio.wait_for(service.end(), 10) == "ends"
        await asyncio.wait_for(api.ending, 10)
        assert serving.state == "closed"


async def test_a_connector_that_waits_for_nothing_uses_no_processor(vhost: str) -> None:
    async with server(vhost) as serving, caller(vhost) as connector:
        await serving.rpc_register(Api())
        assert await (await served(connector)).mirror(value=3) == 3
        begun = time.process_time()
        await asyncio.sleep(0.6)  # what is measured, not waited for
        assert time.process_time() - begun < 0.3
