"""Streams of data between ours and the originals: header filters, every type of value, shared queues, order."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from harness import RabbitMQ, wait_until

from fabric.actors import ORIGINAL, OURS, Library, Service
from fabric.meeting import place

WAYS: list[tuple[Library, Library]] = [(OURS, ORIGINAL), (ORIGINAL, OURS)]
_names = itertools.count()


@pytest.fixture(scope="module")
def services(rabbitmq: RabbitMQ) -> Iterator[dict[Library, Service]]:
    """One of ours and one of theirs, in one domain."""
    with place(rabbitmq) as uri, Service(OURS, uri, "ours") as ours, Service(ORIGINAL, uri, "original") as original:
        ours.wait("up")
        original.wait("up")
        yield {OURS: ours, ORIGINAL: original}


@pytest.fixture(params=WAYS, ids="-".join)
def way(request: pytest.FixtureRequest, services: dict[Library, Service]) -> tuple[Service, Service]:
    """Who publishes, and who subscribes."""
    publisher, subscriber = request.param
    return services[publisher], services[subscriber]


def name() -> str:
    """A subscriber's name that no other test has."""
    return f"subscriber-{next(_names)}"


def taken(subscriber: Service, name: str, count: int = 1) -> tuple[bytes, dict[str, Any]]:
    """The `count`th message that came to a subscriber."""
    told = subscriber.wait("data", name=name, count=count)
    return eval(told["body"]), eval(told["headers"], {"datetime": datetime, "Decimal": Decimal})


SOON = datetime.datetime(2026, 11, 25, 12, 30, 15, tzinfo=datetime.UTC)
SINGLE = 0.10000000149011612  # 0.1 in four bytes, as the originals send it

VALUES: list[Any] = [
    "olá \U0001f680",
    "",
    True,
    False,
    0,
    -128,
    200,
    -30_000,
    60_000,
    -(2**31),
    2**32 - 1,
    2**63 - 1,
    -(2**63),
    1.5,
    -0.25,
    Decimal("1.25"),
    Decimal(-7),
    SOON,
    None,
    bytearray(b"\x00\xff"),
    {"a": {"b": [1, "x", None, True]}},
    {},
    [1, "two", 3.5, [4]],
    [],
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_header_arrives_as_it_was_sent(way: tuple[Service, Service], value: Any) -> None:
    publisher, subscriber = way
    called = name()
    subscriber.do("subscribe", called, {"to": called})
    publisher.do("publish", b"\x00\xffbody", {"to": called, "value": value})
    body, headers = taken(subscriber, called)
    assert body == b"\x00\xffbody"
    assert headers["value"] == value
    assert isinstance(headers["value"], type(value) if not isinstance(value, bytearray) else (bytes, bytearray))
    assert (headers["service_id"], headers["service_type"]) == (publisher.name, "till")


def test_a_float_arrives_with_the_precision_of_the_originals(way: tuple[Service, Service]) -> None:
    publisher, subscriber = way
    called = name()
    subscriber.do("subscribe", called, {"to": called})
    publisher.do("publish", b"", {"to": called, "value": 0.1})
    assert taken(subscriber, called)[1]["value"] == SINGLE


FILTERS: list[tuple[Any, Any]] = [
    ("text", "other"),
    (True, False),
    (5, 6),
    (-70_000, 70_000),
    (2**40, 2**40 + 1),
    (1.5, 1.25),
    (0.1, 0.2),
    (Decimal("1.25"), Decimal("1.5")),
    (SOON, SOON + datetime.timedelta(seconds=1)),
]


@pytest.mark.parametrize(("wanted", "other"), FILTERS, ids=repr)
def test_a_filter_takes_what_says_so_and_nothing_else(way: tuple[Service, Service], wanted: Any, other: Any) -> None:
    publisher, subscriber = way
    called = name()
    subscriber.do("subscribe", called, {"to": called, "value": wanted})
    publisher.do("publish", b"no", {"to": called, "value": other})
    publisher.do("publish", b"no", {"to": called})
    publisher.do("publish", b"yes", {"to": called, "value": wanted, "more": 1})
    publisher.do("publish", b"last", {"to": called, "value": wanted})
    assert [taken(subscriber, called, count)[0] for count in (1, 2)] == [b"yes", b"last"]


def test_a_service_is_known_by_its_messages(way: tuple[Service, Service]) -> None:
    publisher, subscriber = way
    called = name()
    subscriber.do("subscribe", called, {"to": called, "service_id": publisher.name, "service_type": "till"})
    publisher.do("publish", b"mine", {"to": called, "service_id": "forged"})
    assert taken(subscriber, called)[0] == b"mine"


def test_messages_arrive_in_their_order(way: tuple[Service, Service]) -> None:
    publisher, subscriber = way
    called = name()
    subscriber.do("subscribe", called, {"to": called})
    for number in range(100):
        publisher.begin("publish", str(number).encode(), {"to": called})
    assert [taken(subscriber, called, count)[0] for count in range(1, 101)] == [str(n).encode() for n in range(100)]


def test_a_large_message_arrives_whole(way: tuple[Service, Service]) -> None:
    publisher, subscriber = way
    called = name()
    subscriber.do("subscribe", called, {"to": called})
    publisher.do("publish", b"a" * 300_000, {"to": called})
    assert taken(subscriber, called)[0] == b"a" * 300_000


def test_subscribers_of_different_make_get_a_copy_each(services: dict[Library, Service]) -> None:
    called = name()
    for subscriber in services.values():
        subscriber.do("subscribe", called, {"to": called})
    for publisher in services.values():
        publisher.do("publish", publisher.name.encode(), {"to": called})
    for subscriber in services.values():
        assert {taken(subscriber, called, count)[0] for count in (1, 2)} == {b"ours", b"original"}


def test_subscribers_of_different_make_share_a_queue_by_its_name(services: dict[Library, Service]) -> None:
    called = name()
    services[ORIGINAL].do("subscribe", called, {"to": called})
    services[OURS].do("subscribe", called, {"to": called}, queue=called)
    for number in range(20):
        services[OURS].do("publish", str(number).encode(), {"to": called})

    def taken_by() -> list[list[str]]:
        return [[event["body"] for event in one.events("data", name=called)] for one in services.values()]

    wait_until(lambda: sum(map(len, taken_by())) >= 20, what="all messages are taken")
    ours, original = taken_by()
    assert sorted(ours + original) == sorted(repr(str(number).encode()) for number in range(20))
    assert ours and original


def test_other_domains_hear_nothing(way: tuple[Service, Service]) -> None:
    publisher, subscriber = way
    called = name()
    with Service(subscriber.library, publisher.uri, "stranger", domain="elsewhere") as stranger:
        stranger.wait("up")
        stranger.do("subscribe", called, {"to": called})
        publisher.do("publish", b"secret", {"to": called})
        stranger.do("publish", b"own", {"to": called})
        assert taken(stranger, called)[0] == b"own"
