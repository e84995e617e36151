"""`ironbridge logs`, run as a user runs it, at a broker of its own."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from harness import Program, RabbitMQ, Relay, free_port
from ironbridge.fabric import AmqBrokerConnector, AmqpHandler

COMMAND = Path(sys.executable).parent / "ironbridge"
BEGUN = "following the log records of shop"

log = logging.getLogger("shop.sales")
Follow = Callable[..., Program]


@pytest.fixture(scope="module")
def broker() -> Iterator[RabbitMQ]:
    with RabbitMQ() as broker:
        yield broker


@pytest.fixture
def service(broker: RabbitMQ) -> Iterator[AmqBrokerConnector]:
    """A service that sends what the logger `shop.sales` is given."""
    handler = AmqpHandler()
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    log.propagate = False
    with AmqBrokerConnector(broker.uri(), "shop", "till", "one") as amq:
        amq.init_logging_handler(handler)
        yield amq
    log.removeHandler(handler)
    log.propagate = True


@pytest.fixture
def follow(broker: RabbitMQ) -> Iterator[Follow]:
    """Starts the command, and waits until it follows."""
    programs = []

    def start(*words: str, uri: str | None = None, **environment: str) -> Program:
        env = {"NO_COLOR": "1", "COLUMNS": "80", "IRONBRIDGE_AMQP": uri or broker.uri(), **environment}
        program = Program([COMMAND, "logs", "--domain", "shop", *words], env=env)
        programs.append(program)
        program.wait_line(BEGUN)
        return program

    yield start
    for program in programs:
        program.close()


def test_records_are_lines_as_they_come_until_ctrl_c(service: AmqBrokerConnector, follow: Follow) -> None:
    program = follow()
    log.info("sold %d of %s", 3, "ü", extra={"customer": "Ada", "paid": True})
    program.wait_line(r"^\d\d:\d\d:\d\d\.\d{3} INFO +till\.one shop\.sales: sold 3 of ü customer='Ada' paid=True$")
    log.error("x" * 200)
    program.wait_line(r" ERROR +till\.one shop\.sales: x{200}$")
    program.interrupt()
    assert program.wait_exit() == 0
    assert len(program.stdout) == 2
    assert [line for line in program.stderr if not line.startswith(BEGUN)] == []


def test_a_traceback_stands_below_its_record(service: AmqBrokerConnector, follow: Follow) -> None:
    program = follow()
    try:
        raise ZeroDivisionError("sold out")
    except ZeroDivisionError:
        log.exception("it failed")
    program.wait_line("^ZeroDivisionError: sold out$")
    lines = program.stdout
    assert lines[0].endswith("ERROR    till.one shop.sales: it failed")
    assert lines[1] == "Traceback (most recent call last):"


def test_levels_have_colours_where_colours_are_wanted(service: AmqBrokerConnector, follow: Follow) -> None:
    program = follow(NO_COLOR="", FORCE_COLOR="1", TERM="xterm-256color")
    for level in (logging.INFO, logging.WARNING, logging.ERROR):
        log.log(level, "it is %s", logging.getLevelName(level))
    program.wait_line("it is ERROR")
    assert [
        next(style for style in ("\x1b[32mINFO", "\x1b[33mWARNING", "\x1b[31mERROR") if style in line)
        for line in program.stdout
    ] == ["\x1b[32mINFO", "\x1b[33mWARNING", "\x1b[31mERROR"]


def test_what_a_record_says_cannot_drive_the_terminal(service: AmqBrokerConnector, follow: Follow) -> None:
    program = follow()
    log.info("\x1b[2J[bold]not markup[/bold]\r\x07\x9b31m \ud800", extra={"field": "\x1b[31m"})
    program.wait_line(r"\\x1b\[2J\[bold\]not markup\[/bold\]\\r\\x07\\x9b31m \\ud800 field='\\x1b\[31m'$")


def test_what_is_followed_can_be_chosen(service: AmqBrokerConnector, follow: Follow, broker: RabbitMQ) -> None:
    warnings = follow("--level", "warning")
    of_another = follow("--type", "scale", "--id", "two")
    log.info("unseen")
    log.warning("seen")
    warnings.wait_line("seen$")
    assert len(warnings.stdout) == 1
    with AmqBrokerConnector(broker.uri(), "shop", "scale", "two") as other:
        handler = AmqpHandler()
        other.init_logging_handler(handler)
        handler.handle(logging.makeLogRecord({"msg": "of another"}))
        of_another.wait_line("scale.two of another$|scale.two root: of another$|scale.two None: of another$")
    assert len(of_another.stdout) == 1


def test_json_is_a_line_for_each_record(service: AmqBrokerConnector, follow: Follow) -> None:
    program = follow("--json")
    log.warning("zażółć\n\x1b[2J", extra={"n": 1, "nested": {"a": 1}})
    program.wait_line("nested", 20)
    [line] = program.stdout
    told: dict[str, Any] = json.loads(line)
    assert abs(datetime.now().astimezone() - datetime.fromisoformat(told.pop("time"))) < timedelta(minutes=1)
    assert told.pop("line") > 0 and told.pop("process") > 0
    assert told == {
        "text": "zażółć\n\x1b[2J",
        "level": "WARNING",
        "type": "till",
        "id": "one",
        "logger": "shop.sales",
        "file": __file__,
        "function": "test_json_is_a_line_for_each_record",
        "thread": "MainThread",
        "fields": {"n": 1, "nested": "{'a': 1}"},
    }


def test_records_of_other_make_are_shown_too(service: AmqBrokerConnector, follow: Follow, broker: RabbitMQ) -> None:
    """Their headers say little, and whoever writes to the exchange may write anything."""
    program = follow()

    async def publish() -> None:
        async with await aio_pika.connect(broker.uri()) as connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange("shop.log.records")
            headers: dict[str, Any] = {"level_name": "INFO", "service_type": "old", "created": "never", "line": None}
            await exchange.publish(aio_pika.Message(b"no JSON \xff", headers=headers), "")

    asyncio.run(publish())
    program.wait_line(r"^\d\d:\d\d:\d\d\.\d{3} INFO +old\.\? no JSON �$")


def test_a_lost_connection_is_told_and_made_again(
    service: AmqBrokerConnector, follow: Follow, broker: RabbitMQ
) -> None:
    with Relay(broker.address) as relay:
        program = follow(uri=broker.uri(at=relay.address))
        relay.refuse()
        relay.cut()
        program.wait_line("^the connection to the broker is lost")
        relay.welcome()
        program.wait_line("^connected again$", 30)
        program.interrupt()
        assert program.wait_exit() == 0
    assert len(program.stderr) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl+C", "SIGTERM"])
def test_it_ends_while_the_broker_is_silent(follow: Follow, broker: RabbitMQ, number: signal.Signals) -> None:
    with Relay(broker.address) as relay:
        program = follow(uri=broker.uri(at=relay.address))
        relay.stop_reading()
        program.signal(number)
        assert program.wait_exit() == 0


def test_it_ends_when_nobody_reads_what_it_prints(
    service: AmqBrokerConnector, follow: Follow, broker: RabbitMQ
) -> None:
    words = [str(COMMAND), "logs", "--domain", "shop", "--amqp", broker.uri()]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert BEGUN in process.stderr.readline()
        process.stdout.close()
        log.info("nobody reads this")
        try:
            assert process.wait(20) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()


def test_failures_are_one_line_and_exit_code_1(broker: RabbitMQ) -> None:
    cases = [
        (["--domain", "shop", "--amqp", broker.uri(password="wrong")], "^AuthenticationError: "),
        (["--domain", "shop", "--amqp", broker.uri(vhost="missing")], "^ConfigurationError: .*missing"),
        (["--domain", "shop", "--amqp", f"amqp://127.0.0.1:{free_port()}/"], "^BrokerUnavailable: .*refused"),
        (["--domain", "shop", "--amqp", "http://127.0.0.1/"], "^ConfigurationError: .*http"),
        (["--domain", "not a domain", "--amqp", broker.uri()], "^IdentityError: .*service_domain"),
        (["--domain", "shop", "--amqp", broker.uri(), "--level", "LOUD"], "DEBUG, INFO, WARNING, ERROR, CRITICAL"),
    ]
    with ExitStack() as stack:
        started = [
            stack.enter_context(Program([COMMAND, "logs", *words], env={"NO_COLOR": "1", "COLUMNS": "80"}))
            for words, _ in cases
        ]
        for program, (_, told) in zip(started, cases, strict=True):
            assert program.wait_exit(30) == 1, program.output
            program.wait_line(told)
            assert (program.stdout, len(program.stderr)) == ([], 1)
            assert "guest:" not in program.output


def test_doctor_shows_no_password() -> None:
    uri = "amqp://ada:geheim@broker.example/shop"
    with Program([COMMAND, "doctor", "--json"], env={"IRONBRIDGE_AMQP": uri}) as program:
        program.wait_exit(30)
    assert "amqp://ada:…@broker.example/shop" in program.output
    assert "geheim" not in program.output
