"""Brokers of a test: one for all, with a virtual host for each test, and one that a test may end."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from harness import RabbitMQ

from fabric.meeting import PAIRS, Pair, meeting, name_of, place


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """A broker that all tests share; it is started when the first asks for it."""
    with RabbitMQ() as broker:
        yield broker


@pytest.fixture
def vhost_name(rabbitmq: RabbitMQ) -> Iterator[str]:
    """A virtual host of the shared broker, for this test alone."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    rabbitmq.add_vhost(name)
    yield name
    rabbitmq.delete_vhost(name)


@pytest.fixture
def vhost(rabbitmq: RabbitMQ, vhost_name: str) -> str:
    """The URI of a virtual host for this test alone."""
    return rabbitmq.uri(vhost=vhost_name)


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
