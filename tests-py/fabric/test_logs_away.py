"""Log records while nobody takes them: kept, bounded, the count of what was lost is told; the program never waits."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Iterator

import pytest
from harness import RabbitMQ, Relay, lenient, wait_until
from ironbridge.fabric import AmqpHandler, IncomingMessage

from fabric.inbox import Inbox, connector, messages

log = logging.getLogger("shop")


@pytest.fixture(autouse=True)
def _own_logger() -> Iterator[None]:
    log.setLevel(logging.DEBUG)
    log.propagate = False
    yield
    log.handlers.clear()
    log.propagate = True


def handled(capacity: int = 10_000) -> AmqpHandler:
    """A handler of the logger `shop`."""
    handler = AmqpHandler(capacity=capacity)
    log.addHandler(handler)
    return handler


def texts() -> Inbox[str]:
    return Inbox(lambda message: str(message.json()))


async def test_records_from_before_there_is_a_connector_are_sent_first(vhost: str) -> None:
    inbox, handler = texts(), handled()
    log.info("before")
    threading_say("before, in a thread")
    async with connector(vhost) as amq:
        await amq.follow_logs(inbox)
        await amq.init_logging_handler(handler)
        log.info("after")
        assert await inbox.came(3) == ["before", "before, in a thread", "after"]


def threading_say(text: str) -> None:
    thread = threading.Thread(target=log.info, args=(text,))
    thread.start()
    thread.join()


async def test_of_more_than_are_kept_the_newest_are_sent_and_the_loss_is_told(vhost: str) -> None:
    inbox, handler = messages(), handled(capacity=3)
    for number in range(10):
        log.info("%d", number)
    async with connector(vhost) as amq:
        await amq.follow_logs(inbox)
        await amq.init_logging_handler(handler)
        log.info("after")
        told, *rest = await inbox.came(5)
        assert [message.json() for message in rest] == ["7", "8", "9", "after"]
        assert told.json().startswith("7 older log records were dropped")
        assert (told.headers["level_name"], told.headers["logger"]) == ("WARNING", "ironbridge.fabric")
        log.info("it is told once")
        assert (await inbox.came(6))[-1].json() == "it is told once"


async def test_a_handler_may_have_its_connector_before_that_is_open(vhost: str) -> None:
    inbox, handler = texts(), handled()
    async with connector(vhost, "follower") as follower:
        await follower.follow_logs(inbox)
        amq = connector(vhost)
        await amq.init_logging_handler(handler)
        log.info("not open")
        opening = amq.open()
        log.info("opening")
        await opening
        log.info("open")
        assert await inbox.came(3) == ["not open", "opening", "open"]
        await amq.close()


async def test_records_after_the_end_are_kept_for_the_next_time(vhost: str) -> None:
    inbox, handler = texts(), handled(capacity=2)
    async with connector(vhost, "follower") as follower:
        await follower.follow_logs(inbox)
        amq = connector(vhost)
        async with amq:
            await amq.init_logging_handler(handler)
            log.info("open")
        for number in range(3):
            log.info("closed %d", number)
        async with amq:
            log.info("open again")
            came = await inbox.came(4)
        assert came[0] == "open"
        # Two are kept, of four with the one that was said when it was open again.
        assert came[1].startswith("2 older log records were dropped")
        assert came[2:] == ["closed 2", "open again"]


async def test_records_are_sent_to_the_last_when_a_connector_closes(vhost: str) -> None:
    inbox, handler = texts(), handled()
    async with connector(vhost, "follower") as follower:
        await follower.follow_logs(inbox)
        async with connector(vhost) as amq:
            await amq.init_logging_handler(handler)
            for number in range(500):
                log.info("%d", number)
        assert await inbox.came(500) == [str(number) for number in range(500)]


def test_a_program_without_a_loop_logs_over_the_broker(vhost: str) -> None:
    inbox, handler = texts(), handled()
    with connector(vhost) as amq:
        amq.follow_logs(inbox)
        amq.init_logging_handler(handler)
        log.info("from the main thread")
        threading_say("from another")
        assert inbox.wait(2) == ["from the main thread", "from another"]
    log.info("after the end")


def test_a_forked_child_logs_without_harm(vhost: str) -> None:
    """It has no connection: its records are kept, and the parent's go on."""
    inbox, handler = texts(), handled(capacity=5)
    with connector(vhost) as amq:
        amq.follow_logs(inbox)
        amq.init_logging_handler(handler)
        log.info("before")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                for _ in range(20):
                    log.info("of the child")
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        log.info("after")
        assert inbox.wait(2) == ["before", "after"]


async def test_while_the_broker_is_away_the_newest_wait_and_the_loss_is_told(vhost: str, rabbitmq: RabbitMQ) -> None:
    inbox, handler, states = messages(), handled(), Inbox[str](str)
    with Relay(rabbitmq.address) as relay:
        through = rabbitmq.uri(vhost=vhost.rpartition("/")[2], at=relay.address)
        async with (
            connector(vhost, "follower") as follower,
            connector(through, options={"log_records": 5}, on_state=states) as amq,
        ):
            await follower.follow_logs(inbox)
            await amq.init_logging_handler(handler)
            log.info("there")
            await inbox.came()
            await asyncio.to_thread(wait_until, lambda: amq.stats()["logs_confirmed"] == 1)
            relay.refuse()
            relay.cut()
            await states.came(3)
            assert states.items[2] == "lost"
            for number in range(12):
                log.info("%d", number)
            assert amq.stats()["logs_waiting"] == 5
            assert amq.stats()["logs_dropped"] >= 7
            relay.welcome()
            await asyncio.to_thread(wait_until, lambda: amq.stats()["logs_waiting"] == 0)
            log.info("there again")
            await asyncio.to_thread(wait_until, lambda: inbox.items[-1].json() == "there again")
            came = inbox.items[1:-1]
            told = [message for message in came if message.headers["logger"] == "ironbridge.fabric"]
            rest = [message.json() for message in came if message not in told]
            # One that tells of others may have taken the place of one, or given way itself.
            assert len(rest) >= 4
            assert rest == [str(number) for number in range(12 - len(rest), 12)]
            assert {message.headers["level_name"] for message in told} == {"WARNING"}
            counts = [int(message.json().split(" ")[0]) for message in told]
            assert sum(counts) >= 5
            assert "log records were dropped" in told[0].json()


async def test_saying_something_never_waits_for_the_broker(own_rabbitmq: RabbitMQ) -> None:
    handler = handled()
    async with connector(own_rabbitmq.uri(), options={"log_records": 1_000}, on_error=None) as amq:
        await amq.init_logging_handler(handler)
        own_rabbitmq.freeze()
        began = time.monotonic()
        for _ in range(5_000):
            log.info("x" * 100)
        took = time.monotonic() - began
        own_rabbitmq.thaw()
    assert took < lenient(5.0)


async def test_the_engines_own_troubles_go_over_the_broker_as_any_record_does(vhost: str) -> None:
    """The root's handler has them, too, and there is no end of records about records."""
    inbox, handler = messages(), AmqpHandler(logging.WARNING)
    own = logging.getLogger("ironbridge")
    own.addHandler(handler)
    own.propagate = False
    try:
        async with connector(vhost, on_error=None) as amq:
            await amq.follow_logs(inbox)
            await amq.init_logging_handler(handler)

            def fails(message: IncomingMessage) -> None:
                raise ZeroDivisionError("of a callback")

            await amq.subscribe_data("reader", {}, fails)
            await amq.publish_data(b"", {})
            [message] = await inbox.came()
            assert message.headers["logger"] == "ironbridge.fabric"
            assert "ZeroDivisionError: of a callback" in message.headers["exception"]
    finally:
        own.removeHandler(handler)
        own.propagate = True


async def test_a_broker_that_takes_no_records_makes_no_flood_of_them(vhost: str, rabbitmq: RabbitMQ) -> None:
    """A failed record is a trouble, which is logged, which is a record, which fails."""
    name = vhost.rpartition("/")[2]
    async with connector(vhost, "another"):
        pass  # The exchanges are there.
    rabbitmq.add_user("reader", "secret", name)
    rabbitmq.eval(
        f'rabbit_auth_backend_internal:set_permissions(<<"reader">>, <<"{name}">>, <<".*">>, '
        '<<"^(?!shop.log.records).*">>, <<".*">>, <<"test">>)'
    )
    own, handler, seen = logging.getLogger("ironbridge"), AmqpHandler(), Inbox[str](lambda record: record.getMessage())
    keeper = Keeper(seen)
    own.addHandler(handler)
    own.addHandler(keeper)
    own.propagate = False
    try:
        async with connector(rabbitmq.uri("reader", "secret", name), on_error=None) as amq:
            await amq.init_logging_handler(handler)
            logging.getLogger("ironbridge.test").warning("it begins")
            for number in range(3):
                logging.getLogger("ironbridge.test").warning("record %d", number)
            # Each of the four, and that it was refused; of which no record is sent.
            told = await seen.came(8)
            assert any("shop.log.records" in text for text in told)
            stats = amq.stats()
            assert stats["logs_failed"] + stats["logs_waiting"] < 6
    finally:
        own.removeHandler(handler)
        own.removeHandler(keeper)
        own.propagate = True


class Keeper(logging.Handler):
    def __init__(self, inbox: Inbox[str]) -> None:
        super().__init__()
        self._inbox = inbox

    def emit(self, record: logging.LogRecord) -> None:
        record.msg = f"{record.getMessage()} {record.exc_info and record.exc_info[1]}"
        record.args = ()
        self._inbox(record)
