"""Methods and callbacks that end in odd ways harm neither their server nor its clique."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from harness import RabbitMQ
from ironbridge.errors import IronbridgeError, RemoteExecutionError
from ironbridge.fabric import AbstractServiceApi, AmqBrokerConnector, IncomingMessage

from fabric.clique import caller, eventually, served, server


class Odd(AbstractServiceApi):
    """Each counts how often it ran."""

    def __init__(self) -> None:
        self.runs = 0

    async def raises_cancelled(self) -> None:
        self.runs += 1
        raise asyncio.CancelledError

    async def awaits_what_is_cancelled(self) -> None:
        self.runs += 1
        task = asyncio.ensure_future(asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        await task

    async def cancels_itself(self) -> None:
        self.runs += 1
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(60)

    async def exits(self) -> None:
        self.runs += 1
        sys.exit(3)

    async def exits_later(self) -> None:
        self.runs += 1
        await asyncio.sleep(0.001)
        sys.exit(3)

    def exits_plain(self) -> None:
        self.runs += 1
        sys.exit(3)

    def interrupts_plain(self) -> None:
        self.runs += 1
        raise KeyboardInterrupt

    async def stops_iterating(self) -> None:
        self.runs += 1
        raise StopIteration

    def stops_iterating_plain(self) -> None:
        self.runs += 1
        raise StopIteration

    async def ends_a_generator(self) -> None:
        self.runs += 1
        raise GeneratorExit

    async def fine(self) -> str:
        return "fine"


ODD = sorted(name for name in vars(Odd) if not name.startswith("_") and name != "fine")


@pytest.mark.parametrize("method", ODD)
async def test_a_method_that_ends_oddly_is_an_error_of_its_caller_alone(vhost: str, method: str) -> None:
    api = Odd()
    async with server(vhost) as serving, caller(vhost) as connector:
        await serving.rpc_register(api)
        service = await served(connector, timeout=3)
        with pytest.raises(RemoteExecutionError) as failed:
            await getattr(service, method)()
        assert failed.value.fate == "executed"
        assert api.runs == 1, "it ran once"
        assert await service.fine() == "fine"
        assert serving.state == "connected"


class Callbacks:
    """Callbacks that end in odd ways."""

    def __init__(self) -> None:
        self.runs = 0

    async def raises_cancelled(self, message: IncomingMessage) -> None:
        self.runs += 1
        raise asyncio.CancelledError

    async def exits_later(self, message: IncomingMessage) -> None:
        self.runs += 1
        await asyncio.sleep(0.001)
        sys.exit(3)

    def exits_plain(self, message: IncomingMessage) -> None:
        self.runs += 1
        sys.exit(3)


@pytest.mark.parametrize("callback", ["raises_cancelled", "exits_later", "exits_plain"])
async def test_a_callback_that_ends_oddly_is_told_and_the_next_message_comes(vhost: str, callback: str) -> None:
    callbacks = Callbacks()
    told: list[str] = []
    async with caller(vhost, on_error=lambda error, place: told.append(place)) as connector:
        await connector.subscribe_data("odd", {"n": 1}, getattr(callbacks, callback))
        for number in (1, 2):
            await connector.publish_data(b"", {"n": 1})
            await eventually(lambda n=number: len(told) == n)  # type: ignore[misc]
        assert callbacks.runs == 2
        assert all("odd" in place for place in told)


async def test_hooks_that_fail_are_told_and_harm_nothing(rabbitmq: RabbitMQ, vhost: str) -> None:
    seen: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: seen.append(context))

    def fails(*_: object) -> None:
        raise RuntimeError("the hook")

    async with server(vhost, on_state=fails, on_error=fails) as serving, caller(vhost) as connector:
        await serving.rpc_register(Odd())

        def callback(message: IncomingMessage) -> None:
            raise ValueError

        await serving.subscribe_data("sub", {"n": 1}, callback)
        await serving.publish_data(b"", {"n": 1})
        service = await served(connector)
        await eventually(lambda: seen)
        assert await service.fine() == "fine"


def test_a_connector_whose_loop_has_ended_can_be_closed_and_opened_on_another(
    rabbitmq: RabbitMQ, vhost: str, vhost_name: str
) -> None:
    connector: AmqBrokerConnector = server(vhost)

    async def begin() -> None:
        await connector.open()
        await connector.rpc_register(Odd())

    async def again() -> None:
        await connector.close()
        assert connector.state == "closed"
        async with connector:
            await connector.rpc_register(Odd())
            assert await (await served(connector)).fine() == "fine"
            assert len([one for one in rabbitmq.connections() if one["vhost"] == vhost_name]) == 1

    asyncio.run(begin())
    asyncio.run(again())


async def test_closing_while_it_opens_ends_both(rabbitmq: RabbitMQ) -> None:
    connector = caller("amqp://127.0.0.1:1/")
    opening = asyncio.ensure_future(connector.open(timeout=60))
    await asyncio.sleep(0)
    await asyncio.wait_for(connector.close(), 10)
    with pytest.raises(IronbridgeError):
        await asyncio.wait_for(opening, 10)
    assert connector.state == "closed"
