"""The programs of examples/fabric, each run as a user would run it; the document's own are in test_document.py."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Program, wait_until
from harness.told import PATIENCE
from ironbridge.fabric import AmqBrokerConnector

EXAMPLES = Path(__file__).parents[2] / "examples" / "fabric"


def run(name: str, uri: str) -> Program:
    return Program.python(EXAMPLES / f"{name}.py", uri)


def end(program: Program) -> None:
    """Ends it as an operator does."""
    program.signal(signal.SIGTERM)
    assert program.wait_exit(PATIENCE) == 0, program.output


@pytest.fixture
def accountant(vhost: str) -> Iterator[Program]:
    with run("accountant", vhost) as program:
        program.wait_line("booking", PATIENCE)
        yield program


@pytest.fixture
def checkout(vhost: str) -> Iterator[Program]:
    with run("checkout", vhost) as program:
        program.wait_line("taking orders", PATIENCE)
        yield program


def test_orders_of_a_till_without_a_loop_are_booked(vhost: str, accountant: Program, checkout: Program) -> None:
    with run("till", vhost) as till:
        till.wait_line("10 orders taken", PATIENCE)
        assert till.wait_exit(PATIENCE) == 0, till.output
    accountant.wait_line("55.00 in all", PATIENCE)
    end(checkout)
    assert "closed" in checkout.output
    end(accountant)


def test_an_accountant_that_was_away_books_what_came_meanwhile(
    vhost: str, accountant: Program, checkout: Program
) -> None:
    end(accountant)
    with run("till", vhost) as till:
        till.wait_line("10 orders taken", PATIENCE)
    with run("accountant", vhost) as again:
        again.wait_line("55.00 in all", PATIENCE)


def test_what_cannot_be_booked_is_tried_three_times_and_laid_aside(
    vhost: str, accountant: Program, checkout: Program
) -> None:
    with AmqBrokerConnector(vhost, "shop", "till", "two") as connector:
        number = connector.rpc_proxy("shop", "one", "checkout").order(customer="somebody", cents=-5)
    accountant.wait_line(f"laid aside {number}", PATIENCE)
    failures = [line for line in accountant.stdout if line.startswith("failure")]
    assert failures == [f"failure {count} of the callback of accountant: an order of -5 cents" for count in (1, 2, 3)]


def test_an_order_that_nobody_would_book_is_refused(vhost: str, checkout: Program) -> None:
    with run("till", vhost) as till:
        till.wait_line("not every order was taken: nobody subscribes", PATIENCE)
        assert till.wait_exit(PATIENCE) == 1, till.output


def test_the_checkout_s_log_records_are_followed(vhost: str, accountant: Program, checkout: Program) -> None:
    texts: list[str] = []
    with AmqBrokerConnector(vhost, "shop", "desk", "one") as connector:
        connector.follow_logs(lambda record: texts.append(record.json()), level="INFO", service_type="checkout")
        number = connector.rpc_proxy("shop", "one", "checkout").order(customer="Ada", cents=100)
        wait_until(lambda: f"order {number} of Ada" in texts, PATIENCE, "the record")


def test_no_caller_notices_when_one_of_a_clique_is_killed(vhost: str) -> None:
    with run("clique", vhost) as clique:
        clique.wait_line(r"300 of 300 calls answered, by 3 servers", 2 * PATIENCE)
        clique.wait_line(r"were given to a second server", PATIENCE)
        assert clique.wait_exit(PATIENCE) == 0, clique.output
