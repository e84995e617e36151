"""What a log record says, once it has come over the broker."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import aio_pika
import pytest
from ironbridge.fabric import AmqpHandler, ConfigurationError, IncomingMessage

from fabric.inbox import PATIENCE, Inbox, bodies, connector, messages


@pytest.fixture
def handler() -> Iterator[AmqpHandler]:
    """Of the logger `shop`, for this test alone."""
    logger, handler = logging.getLogger("shop"), AmqpHandler()
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield handler
    logger.removeHandler(handler)
    logger.propagate = True


log = logging.getLogger("shop")


def texts() -> Inbox[str]:
    """Keeps the texts of records."""
    return Inbox(lambda message: str(message.json()))


async def test_a_record_says_where_and_when_it_was_made(vhost: str, handler: AmqpHandler) -> None:
    inbox, before = messages(), time.time()
    async with connector(vhost) as amq:
        await amq.follow_logs(inbox)
        await amq.init_logging_handler(handler)
        log.warning("sold %d of %s", 3, "ü", extra={"customer": "Ada", "paid": True, "price": 1.5})
        [message] = await inbox.came()
    assert message.json() == "sold 3 of ü"
    headers = dict(message.headers)
    assert before - 0.001 <= float(headers.pop("created")) <= time.time()
    assert headers.pop("line") > 40
    assert headers == {
        "level_name": "WARNING",
        "service_id": "one",
        "service_type": "till",
        "level": 30,
        "logger": "shop",
        "file": __file__,
        "function": "test_a_record_says_where_and_when_it_was_made",
        "process": os.getpid(),
        "thread": "MainThread",
        "customer": "Ada",
        "paid": True,
        "price": 1.5,
    }


async def test_a_follower_of_other_make_reads_it_as_the_originals_record(vhost: str, handler: AmqpHandler) -> None:
    """Level, type and id in the headers; the body is the JSON of the text."""
    connection = await aio_pika.connect(vhost)
    async with connection, connector(vhost) as amq:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        exchange = await channel.declare_exchange("shop.log.records", aio_pika.ExchangeType.HEADERS, durable=True)
        await queue.bind(exchange, "", arguments={"x-match": "all", "level_name": "INFO", "service_type": "till"})
        came: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
        await queue.consume(came.put, no_ack=True)
        await amq.init_logging_handler(handler)
        log.debug("unseen")
        for text in ('say "hello"', "za\u017c\u00f3\u0142\u0107", "", "\ud800 \0 \n", "x" * 300_000):
            log.info(text)
            message = await asyncio.wait_for(came.get(), PATIENCE)
            assert json.loads(message.body) == text
            assert message.routing_key == ""
            assert {"level_name", "service_id", "service_type"} <= set(message.headers)


async def test_an_exception_travels_with_its_traceback(vhost: str, handler: AmqpHandler) -> None:
    inbox = messages()
    async with connector(vhost) as amq:
        await amq.follow_logs(inbox)
        await amq.init_logging_handler(handler)
        try:
            raise ZeroDivisionError("sold out")
        except ZeroDivisionError:
            log.exception("it failed")
        log.error("without one", exc_info=False)
        failed, without = await inbox.came(2)
    assert failed.json() == "it failed"
    assert failed.headers["exception"].startswith("Traceback (most recent call last):\n")
    assert failed.headers["exception"].endswith("\nZeroDivisionError: sold out")
    assert "exception" not in without.headers


async def test_a_formatter_makes_the_text(vhost: str, handler: AmqpHandler) -> None:
    inbox = texts()
    handler.setFormatter(logging.Formatter("%(levelname)s in %(name)s: %(message)s"))
    async with connector(vhost) as amq:
        await amq.follow_logs(inbox)
        await amq.init_logging_handler(handler)
        log.info("it")
        assert await inbox.came() == ["INFO in shop: it"]


async def test_only_what_is_at_the_handlers_level_is_sent(vhost: str, handler: AmqpHandler) -> None:
    inbox = texts()
    handler.setLevel(logging.WARNING)
    handler.addFilter(lambda record: "secret" not in record.getMessage())
    async with connector(vhost) as amq:
        await amq.follow_logs(inbox)
        await amq.init_logging_handler(handler)
        for say in (log.debug, log.info, log.warning, log.error, log.critical):
            say(say.__name__)
        log.error("a secret")
        log.log(35, "one's own level")
        assert await inbox.came(4) == ["warning", "error", "critical", "one's own level"]


@pytest.mark.parametrize("fields", [("customer",), ()], ids=["one", "none"])
async def test_of_the_extra_fields_those_that_are_named_are_sent(vhost: str, fields: tuple[str, ...]) -> None:
    inbox, handler = messages(), AmqpHandler(extra_fields=fields)
    async with connector(vhost) as amq:
        await amq.follow_logs(inbox)
        await amq.init_logging_handler(handler)
        handler.handle(logging.makeLogRecord({"msg": "it", "customer": "Ada", "card": "4711"}))
        [message] = await inbox.came()
    assert message.headers.get("customer") == ("Ada" if fields else None)
    assert "card" not in message.headers


class Broken:
    def __repr__(self) -> str:
        raise ValueError("of the repr")


ODD: dict[str, tuple[Any, Any]] = {
    "object": (object, "<class 'object'>"),
    "broken": (Broken(), "<Broken whose repr() fails>"),
    "nested": ({"a": [1]}, "{'a': [1]}"),
    "huge": (2**70, str(2**70)),
    "far": (1e300, "1e+300"),
    "not a number": (float("nan"), "nan"),
    "infinite": (float("-inf"), "-inf"),
    "half": ("\ud800x", "\\ud800x"),
    "none": (None, None),
    "long": ("y" * 50_000, "y" * 16_384),
    "n" * 300: (1, 1),
    "ż" * 200: (2, 2),
    # Who it is from cannot be said by a field.
    "service_id": ("another", "one"),
    "level_name": ("NONE", "INFO"),
}


async def test_extra_fields_of_any_kind_arrive_as_headers_can_say_them(vhost: str, handler: AmqpHandler) -> None:
    inbox = messages()
    async with connector(vhost) as amq:
        await amq.follow_logs(inbox)
        await amq.init_logging_handler(handler)
        log.info("it", extra={name: value for name, (value, _) in ODD.items()})
        log.info("too much", extra={f"field-{number}": "y" * 16_000 for number in range(50)})
        log.info("the next")
        it, too_much, following = await inbox.came(3)
    assert {name: it.headers[name[:127]] for name in ODD} == {name: said for name, (_, said) in ODD.items()}
    assert too_much.json() == "too much"
    assert too_much.headers["field-0"] == "y" * 16_000
    assert following.json() == "the next"


async def test_records_come_from_any_thread_in_the_order_of_each(vhost: str, handler: AmqpHandler) -> None:
    inbox = messages()
    async with connector(vhost) as amq:
        await amq.follow_logs(inbox)
        await amq.init_logging_handler(handler)

        def say() -> None:
            for number in range(250):
                log.info("%d", number)

        threads = [threading.Thread(target=say, name=f"sayer-{number}") for number in range(4)]
        for thread in threads:
            thread.start()
        came = await inbox.came(1_000)
        for thread in threads:
            thread.join()
            its = [message.json() for message in came if message.headers["thread"] == thread.name]
            assert its == [str(number) for number in range(250)]


async def test_a_follower_asks_for_levels_types_ids_and_domains(vhost: str) -> None:
    everything, warnings, of_two, of_kind, other = bodies(), bodies(), bodies(), bodies(), bodies()
    async with (
        connector(vhost, "one") as one,
        connector(vhost, "two", kind="scale") as two,
        connector(vhost, "one", domain="bank") as bank,
    ):
        await one.follow_logs(everything)
        await one.follow_logs(warnings, level="warning")
        await one.follow_logs(of_two, service_id="two")
        await one.follow_logs(of_kind, service_type="till", level="INFO")
        subscription = await one.follow_logs(other, domain="bank")
        for amq in (one, two, bank):
            handler = AmqpHandler()
            await amq.init_logging_handler(handler)
            for level in (logging.DEBUG, logging.WARNING, logging.CRITICAL):
                name = logging.getLevelName(level)
                handler.handle(logging.makeLogRecord({"msg": f"{amq.fqn} {name}", "levelno": level, "levelname": name}))
        assert sorted(await everything.came(6)) == sorted(
            b'"shop.%s %s"' % (who, level)
            for who in (b"till.one", b"scale.two")
            for level in (b"DEBUG", b"WARNING", b"CRITICAL")
        )
        assert sorted(await warnings.came(4)) == sorted(b for b in everything.items if b"DEBUG" not in b)
        assert await of_two.came(3) == [b'"shop.scale.two %s"' % level for level in (b"DEBUG", b"WARNING", b"CRITICAL")]
        assert await of_kind.came(2) == [b'"shop.till.one WARNING"', b'"shop.till.one CRITICAL"']
        assert len(await other.came(3)) == 3
        assert all(body.startswith(b'"bank.') for body in other.items)
        await subscription.cancel()
        for wrong in ("LOUD", "", 10):
            with pytest.raises(ConfigurationError, match="level"):
                one.follow_logs(everything, level=wrong)  # type: ignore[arg-type]


async def test_what_a_follower_itself_logs_does_not_stop_it(vhost: str, handler: AmqpHandler) -> None:
    """A record for each record would never end; a follower of another level is fine."""
    inbox = texts()

    async def follow(message: IncomingMessage) -> None:
        inbox(message)
        log.debug("seen: %s", message.json())

    async with connector(vhost) as amq:
        await amq.init_logging_handler(handler)
        await amq.follow_logs(follow, level="INFO")
        log.info("one")
        log.info("two")
        assert await inbox.came(2) == ["one", "two"]


@pytest.mark.parametrize("capacity", [0, -1, 1.5, True, "10", None])
def test_a_handler_keeps_at_least_one_record(capacity: Any) -> None:
    with pytest.raises(ConfigurationError, match="capacity"):
        AmqpHandler(capacity=capacity)
