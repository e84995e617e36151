"""The connector without an event loop: in a `with` block, from any thread."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from harness import RabbitMQ, Relay, free_port, lenient, wait_until
from ironbridge.errors import ConfigurationError, ConnectionLost, DeadlineExceeded
from ironbridge.fabric import AbstractServiceApi, BrokerUnavailable, IncomingMessage, current_call

from fabric.clique import caller, server


class Api(AbstractServiceApi):
    """Methods of both kinds, each telling where it ran."""

    def __init__(self) -> None:
        self.let = threading.Event()

    def plain(self, value: Any) -> list[Any]:
        assert current_call() is not None
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return [value, threading.current_thread().name]

    async def on_loop(self, value: Any) -> list[Any]:
        assert current_call() is not None
        await asyncio.sleep(0.001)
        return [value, threading.current_thread().name]

    def hold(self) -> str:
        self.let.wait()
        return "let"


def test_everything_works_in_with_blocks_from_several_threads(vhost: str) -> None:
    got: list[tuple[str, int]] = []

    def plain(message: IncomingMessage) -> None:
        got.append(("plain", int(message.body)))

    async def on_loop(message: IncomingMessage) -> None:
        asyncio.get_running_loop()
        got.append(("loop", int(message.body)))

    here = threading.current_thread().name
    with server(vhost, keep_alive_seconds=0.2) as serving, caller(vhost) as connector:
        api = Api()
        serving.rpc_register(api)
        service: Any = connector.rpc_proxy("stage", "hamlet", "actor")
        connector.subscribe_data("plain", {"n": 1}, plain)
        connector.subscribe_data("loop", {"n": 1}, on_loop)

        def work(thread: int) -> int:
            for number in range(20):
                for method in (service.plain, service.on_loop):
                    value, where = method(value=[thread, number])
                    assert value == [thread, number] and where != here
            serving.publish_data(str(thread).encode(), {"n": 1})
            return thread

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(work, range(8))) == list(range(8))
        wait_until(lambda: len(got) == 16)
        assert sorted(got) == sorted((kind, thread) for kind in ("plain", "loop") for thread in range(8))
        wait_until(lambda: connector.list_services(service_type="actor"))
        with pytest.raises(DeadlineExceeded):
            service.with_options(timeout=0.1).hold()
        api.let.set()
        for one in (service.plain, service.on_loop):
            with pytest.raises(TypeError):
                one(nothing=1)
        assert connector.stats()["calls_open"] == 0


def test_a_call_ends_when_the_connector_is_closed_by_another_thread(vhost: str) -> None:
    api = Api()
    with server(vhost) as serving:
        serving.rpc_register(api)
        connector = caller(vhost)
        connector.open()
        service: Any = connector.rpc_proxy("stage", "hamlet", "actor", timeout=20)
        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(service.hold) for _ in range(4)]
            wait_until(lambda: serving.stats()["calls_running"] == 4)
            closing = [threading.Thread(target=connector.close) for _ in range(3)]
            for thread in closing:
                thread.start()
            for call in calls:
                with pytest.raises(ConnectionLost, match="closed before"):
                    call.result(10)
            for thread in closing:
                thread.join(10)
                assert not thread.is_alive()
        assert connector.state == "closed"
        api.let.set()


def test_a_broker_that_is_away(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    connector = caller(f"amqp://127.0.0.1:{free_port()}/")
    begun = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        connector.open(timeout=0.3)
    assert time.monotonic() - begun < lenient(3)
    assert not connector.is_open
    with pytest.raises(BrokerUnavailable):
        connector.open(timeout=0.1)
    connector.close()
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("ironbridge")], names
    states: list[str] = []
    with (
        Relay(rabbitmq.address) as relay,
        server(rabbitmq.uri(vhost=vhost_name)) as serving,
        caller(
            rabbitmq.uri(vhost=vhost_name, at=relay.address), on_state=states.append, options={"backoff_most": 0.2}
        ) as there,
    ):
        serving.rpc_register(Api())
        service: Any = there.rpc_proxy("stage", "hamlet", "actor")
        assert service.plain(value=1)[0] == 1
        relay.refuse()
        relay.cut()
        wait_until(lambda: states.count("lost") >= 2)
        threading.Timer(0.2, relay.welcome).start()
        assert service.plain(value=2)[0] == 2
        there.publish_data(b"", {})


def test_opened_twice_closed_twice_and_opened_again(vhost: str) -> None:
    connector = caller(vhost)
    for _ in range(2):
        connector.open()
        with pytest.raises(ConfigurationError, match="open already"):
            connector.open()
        connector.publish_data(b"", {})
        connector.close()
        connector.close()


async def test_with_where_a_loop_runs_says_what_to_write(vhost: str) -> None:
    with pytest.raises(ConfigurationError, match="async with"), caller(vhost):
        pass


def test_callbacks_on_the_background_loop_may_use_and_close_the_connector(vhost: str) -> None:
    ended = threading.Event()
    answers: list[Any] = []
    connector = server(vhost)
    connector.open()
    connector.rpc_register(Api())
    service: Any = connector.rpc_proxy("stage", "hamlet", "actor")

    async def callback(message: IncomingMessage) -> None:
        answers.append((await service.on_loop(value=1))[0])
        await connector.publish_data(b"", {"n": 2})
        asyncio.ensure_future(connector.close()).add_done_callback(lambda _: ended.set())

    connector.subscribe_data("sub", {"n": 1}, callback)
    connector.publish_data(b"", {"n": 1})
    assert ended.wait(10)
    wait_until(lambda: connector.state == "closed")
    assert answers == [1]
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("ironbridge")])
