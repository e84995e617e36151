"""What is published while the broker is away waits, within bounds, and arrives in order; closing sends what is left."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest
from harness import RabbitMQ, Relay, lenient
from ironbridge.errors import ConnectionLost, Overloaded, ServiceUnavailable
from ironbridge.fabric import AmqBrokerConnector, AmqpHandler, IncomingMessage

from fabric.clique import caller, eventually, server

QUICK: dict[str, Any] = {"heartbeat": 1, "options": {"backoff_most": 0.2}}


class Inbox:
    """What a subscriber was given."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    async def __call__(self, message: IncomingMessage) -> None:
        self.numbers.append(int(message.body))

    @property
    def firsts(self) -> list[int]:
        """Without those that came again."""
        return list(dict.fromkeys(self.numbers))


async def _subscribed(connector: AmqBrokerConnector) -> Inbox:
    inbox = Inbox()
    await connector.subscribe_data("inbox", {"kind": "n"}, inbox.__call__)
    return inbox


def _publish(connector: AmqBrokerConnector, numbers: range) -> list[asyncio.Future[None]]:
    return [asyncio.ensure_future(connector.publish_data(str(number).encode(), {"kind": "n"})) for number in numbers]


async def _away(relay: Relay, states: list[str]) -> None:
    relay.refuse()
    relay.cut()
    await eventually(lambda: states.count("lost") >= 2, what="it is away")


async def test_what_is_published_while_the_broker_is_away_arrives_in_order(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    states: list[str] = []
    with Relay(rabbitmq.address) as relay:
        through = rabbitmq.uri(vhost=vhost_name, at=relay.address)
        async with (
            caller(rabbitmq.uri(vhost=vhost_name)) as reader,
            server(through, on_state=states.append, **QUICK) as writer,
        ):
            inbox = await _subscribed(reader)
            before = _publish(writer, range(100))
            await _away(relay, states)
            away = _publish(writer, range(100, 1100))
            assert not any(future.done() for future in away)
            relay.welcome()
            after = _publish(writer, range(1100, 1200))
            await asyncio.wait_for(asyncio.gather(*before, *away, *after), 20)
            await eventually(lambda: len(inbox.firsts) == 1200)
            assert inbox.firsts == list(range(1200))
            stats = writer.stats()
            assert stats["data_confirmed"] == 1200 and stats["data_waiting"] == 0 and stats["data_failed"] == 0


async def test_each_arrives_at_least_once_while_the_connection_is_cut_again_and_again(
    rabbitmq: RabbitMQ, vhost_name: str
) -> None:
    with Relay(rabbitmq.address) as relay:
        through = rabbitmq.uri(vhost=vhost_name, at=relay.address)
        async with caller(rabbitmq.uri(vhost=vhost_name)) as reader, server(through, **QUICK) as writer:
            inbox = await _subscribed(reader)
            published: list[asyncio.Future[None]] = []
            for turn in range(5):
                published += _publish(writer, range(turn * 300, (turn + 1) * 300))
                await eventually(lambda done=turn * 300 + 20: len(inbox.firsts) >= done)  # type: ignore[misc]
                relay.cut()
            await asyncio.wait_for(asyncio.gather(*published), 20)
            await eventually(lambda: len(inbox.firsts) == 1500)
            # One that is sent again comes behind none that was published later.
            assert inbox.firsts == list(range(1500))


async def test_a_full_outbox_says_so_and_keeps_what_it_has(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    states: list[str] = []
    with Relay(rabbitmq.address) as relay:
        through = rabbitmq.uri(vhost=vhost_name, at=relay.address)
        options = {"outbox_messages": 50, "backoff_most": 0.2}
        async with (
            caller(rabbitmq.uri(vhost=vhost_name)) as reader,
            server(through, on_state=states.append, options=options) as writer,
        ):
            inbox = await _subscribed(reader)
            await _away(relay, states)
            kept = _publish(writer, range(50))
            for number in (50, 51):
                with pytest.raises(Overloaded, match=r"outbox is full: 50 messages.*outbox_messages"):
                    await writer.publish_data(str(number).encode(), {"kind": "n"})
            relay.welcome()
            await asyncio.wait_for(asyncio.gather(*kept), 10)
            await writer.publish_data(b"52", {"kind": "n"})
            await eventually(lambda: len(inbox.numbers) >= 51)
            assert inbox.firsts == [*range(50), 52]


async def test_an_outbox_is_full_of_bytes_too(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    states: list[str] = []
    with Relay(rabbitmq.address) as relay:
        through = rabbitmq.uri(vhost=vhost_name, at=relay.address)
        options = {"outbox_bytes": 100_000, "backoff_most": 0.2}
        async with server(through, on_state=states.append, options=options) as writer:
            await _away(relay, states)
            kept = [writer.publish_data(bytes(30_000), {}) for _ in range(3)]
            with pytest.raises(Overloaded, match="outbox_bytes"):
                await writer.publish_data(bytes(30_000), {})
            relay.welcome()
            await asyncio.wait_for(asyncio.gather(*kept), 10)
            await writer.publish_data(bytes(1_000_000), {})


async def test_closing_at_once_sends_all_that_was_published(vhost: str) -> None:
    async with caller(vhost) as reader:
        inbox = await _subscribed(reader)
        writer = server(vhost)
        await writer.open()
        published = _publish(writer, range(500))
        await writer.close()
        assert all(future.done() and future.exception() is None for future in published)
        await eventually(lambda: len(inbox.numbers) >= 500)
        assert inbox.numbers == list(range(500))


async def test_what_is_published_to_a_slow_broker_is_confirmed_before_close_ends(
    rabbitmq: RabbitMQ, vhost_name: str
) -> None:
    with Relay(rabbitmq.address) as relay:
        through = rabbitmq.uri(vhost=vhost_name, at=relay.address)
        async with caller(rabbitmq.uri(vhost=vhost_name)) as reader:
            inbox = await _subscribed(reader)
            writer = server(through, options={"publish_window": 10})
            await writer.open()
            relay.delay(0.02)
            _publish(writer, range(100))
            await writer.close()
            await eventually(lambda: len(inbox.numbers) >= 100)
            assert inbox.numbers == list(range(100))


@pytest.mark.parametrize("silent", [False, True])
async def test_closing_while_the_broker_is_away_ends_in_its_time_and_tells_what_was_lost(
    rabbitmq: RabbitMQ, vhost_name: str, silent: bool
) -> None:
    told: list[tuple[str, str]] = []
    states: list[str] = []
    with Relay(rabbitmq.address) as relay:
        writer = server(
            rabbitmq.uri(vhost=vhost_name, at=relay.address),
            on_state=states.append,
            on_error=lambda error, place: told.append((place, str(error))),
        )
        await writer.open()
        if silent:
            await writer.publish_data(b"0", {})
            relay.stop_reading()
        else:
            await _away(relay, states)
        published = [writer.publish_data(b"1", {}) for _ in range(7)]
        begun = time.monotonic()
        await writer.close(timeout=0.5)
        # Goodbye to a broker that is silent takes up to 3 s more.
        assert 0.4 < time.monotonic() - begun < lenient(4.5)
        for future in published:
            with pytest.raises(ConnectionLost, match="before the broker confirmed") as failed:
                await asyncio.wait_for(future, 1)
            assert failed.value.fate == ("outcome unknown" if silent else "not sent")
        # Each of those that nobody awaited, and the sum of it.
        assert [place for place, _ in told] == ["publishing data"] * 7 + ["close()"]
        assert "7 messages" in told[-1][1]
        assert states[-1] == "closed"


async def test_closing_while_the_broker_takes_nothing_ends_in_its_time(rabbitmq: RabbitMQ, vhost: str) -> None:
    told: list[str] = []
    states: list[str] = []
    writer = server(vhost, on_state=states.append, on_error=lambda error, place: told.append(place))
    await writer.open()
    rabbitmq.block()
    try:
        # The broker tells those who publish; it may take what comes before that.
        writer.publish_data(b"0", {})
        await eventually(lambda: "blocked" in states)
        published = [writer.publish_data(b"1", {}) for _ in range(7)]
        begun = time.monotonic()
        await writer.close(timeout=0.5)
        assert time.monotonic() - begun < lenient(4.5)
        for future in published:
            with pytest.raises(ConnectionLost):
                await asyncio.wait_for(future, 1)
        assert told[-1] == "close()"
    finally:
        rabbitmq.unblock()


async def test_nothing_is_published_after_the_end(vhost: str) -> None:
    writer = server(vhost)
    await writer.open()
    await writer.close()
    with pytest.raises(ServiceUnavailable, match="the connector is not open"):
        await writer.publish_data(b"", {})


async def test_log_records_made_while_the_broker_is_away_arrive_afterwards_and_the_oldest_give_way(
    rabbitmq: RabbitMQ, vhost_name: str
) -> None:
    states: list[str] = []
    got: list[str] = []
    logger = logging.getLogger("tests.outbox")
    logger.propagate = False
    handler = AmqpHandler()
    with Relay(rabbitmq.address) as relay:
        through = rabbitmq.uri(vhost=vhost_name, at=relay.address)
        options = {"log_records": 10, "backoff_most": 0.2}
        async with (
            caller(rabbitmq.uri(vhost=vhost_name)) as reader,
            server(through, on_state=states.append, options=options) as writer,
        ):
            await reader.follow_logs(lambda message: got.append(message.json()))
            await writer.init_logging_handler(handler)
            logger.addHandler(handler)
            try:
                await _away(relay, states)
                for number in range(30):
                    logger.warning("record %d", number)
            finally:
                logger.removeHandler(handler)
            relay.welcome()
            await eventually(lambda: "record 29" in got)
            records = [text for text in got if text.startswith("record ")]
            assert records == [f"record {number}" for number in range(30 - len(records), 30)]
            assert 9 <= len(records) <= 10
            assert writer.stats()["logs_dropped"] >= 20
