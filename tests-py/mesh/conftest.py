"""Where nodes meet in tests: a Redis and a NATS server that all share, and a namespace for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from harness import Nats, Redis

from mesh.meeting import Meeting


@pytest.fixture(scope="session")
def nats() -> Iterator[Nats]:
    """A NATS server that all tests share, with JetStream."""
    with Nats(jetstream=True) as server:
        yield server


@pytest.fixture
def started() -> Iterator[ExitStack]:
    """What is ended with the test."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def namespace() -> str:
    """Whose nodes know nothing of other tests'."""
    return f"test-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def at_redis(redis: Redis, namespace: str, started: ExitStack) -> Meeting:
    """Starts nodes that meet at Redis."""
    return Meeting(redis, namespace, started)


@pytest.fixture
def at_nats(nats: Nats, namespace: str, started: ExitStack) -> Meeting:
    """Starts nodes that meet at NATS."""
    return Meeting(nats, namespace, started)


@pytest.fixture(params=["redis", "nats"])
def meeting(request: pytest.FixtureRequest) -> Meeting:
    """Each in turn."""
    there: Meeting = request.getfixturevalue(f"at_{request.param}")
    return there
