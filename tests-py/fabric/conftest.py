"""Brokers of a test: one for all, with a virtual host for each test, and one that a test may end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness import RabbitMQ

from fabric.meeting import PAIRS, Pair, meeting, name_of, place


@pytest.fixture(scope="session")
def _spare_rabbitmq() -> Iterator[RabbitMQ]:
    broker = RabbitMQ()
    yield broker
    broker.close()


@pytest.fixture
def own_rabbitmq(_spare_rabbitmq: RabbitMQ) -> Iterator[RabbitMQ]:
    """A broker that this test may restart, freeze and kill; empty when it gets it."""
    if not _spare_rabbitmq.running:
        _spare_rabbitmq.start()
    _spare_rabbitmq.reset()
    yield _spare_rabbitmq
    if _spare_rabbitmq.running:
        _spare_rabbitmq.thaw()


@pytest.fixture(scope="session", params=PAIRS, ids=name_of)
def pair(request: pytest.FixtureRequest, rabbitmq: RabbitMQ) -> Iterator[Pair]:
    """A server and a caller, one of them ours, for all tests that leave them as they were."""
    server, caller = request.param
    with place(rabbitmq) as uri, meeting(server, caller, uri) as met:
        yield met
