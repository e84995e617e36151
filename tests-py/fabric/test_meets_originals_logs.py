"""Log records of ours and of the originals, read by whoever follows the domain's log."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from harness import RabbitMQ

from fabric.actors import ORIGINAL, OURS, Library, Raw, Service
from fabric.meeting import place


@pytest.fixture(scope="module")
def services(rabbitmq: RabbitMQ) -> Iterator[dict[str, Service]]:
    """Two that log, and one that follows."""
    with (
        place(rabbitmq) as uri,
        Service(OURS, uri, "ours") as ours,
        Service(ORIGINAL, uri, "original") as original,
        Service(OURS, uri, "follower") as follower,
    ):
        for service in (ours, original, follower):
            service.wait("up")
        follower.do("follow_logs")
        yield {OURS: ours, ORIGINAL: original, "follower": follower}


@pytest.mark.parametrize("library", [OURS, ORIGINAL])
@pytest.mark.parametrize(
    ("level", "text", "given"),
    [
        (logging.INFO, "plain", []),
        (logging.WARNING, "olá, %s \U0001f680", ["mundo"]),
        (logging.ERROR, "%d of %s", [3, {"a": 1}]),
        (15, "a level without a name", []),
    ],
)
def test_a_record_is_read_by_a_follower(
    services: dict[str, Service], library: Library, level: int, text: str, given: list[object]
) -> None:
    mark = f"of {library}: {text}"
    services[library].do("log", level, mark, *given)
    record = services["follower"].wait("record", text=mark % tuple(given) if given else mark)
    expected = {
        "level_name": logging.getLevelName(level),
        "service_id": services[library].name,
        "service_type": "till",
    }
    assert {name: record["headers"][name] for name in expected} == expected


@pytest.mark.parametrize("library", [OURS, ORIGINAL])
def test_a_collector_of_other_make_binds_by_what_records_say(services: dict[str, Service], library: Library) -> None:
    service = services[library]
    with Raw(service.uri) as raw:
        raw.do("watch", "errors", "shop.log.records", {"level_name": "ERROR", "service_id": service.name})
        service.do("log", logging.INFO, "not this")
        service.do("log", logging.ERROR, "this")
        packet = raw.packet("errors")
        assert packet.json == "this"


def test_a_follower_asks_for_a_level_and_a_service(services: dict[str, Service]) -> None:
    original, ours = services[ORIGINAL], services[OURS]
    with Service(OURS, ours.uri, "picky") as picky:
        picky.wait("up")
        picky.do("follow_logs", level="warning", service_id="original")
        ours.do("log", logging.ERROR, "of another")
        original.do("log", logging.INFO, "too low")
        original.do("log", logging.CRITICAL, "heard")
        assert picky.wait("record")["text"] == "heard"


def test_the_log_of_another_domain_is_not_read(services: dict[str, Service]) -> None:
    follower = services["follower"]
    with Service(ORIGINAL, follower.uri, "stranger", domain="elsewhere") as stranger:
        stranger.wait("up")
        stranger.do("log", logging.ERROR, "of elsewhere")
        services[ORIGINAL].do("log", logging.ERROR, "of the shop")
        follower.wait("record", text="of the shop")
        assert follower.events("record", text="of elsewhere") == []
