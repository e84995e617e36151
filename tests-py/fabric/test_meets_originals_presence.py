"""Who is there, as ours and the originals tell each other by keep-alives."""

from __future__ import annotations

from typing import Any

import pytest
from harness import wait_until

from fabric.actors import ORIGINAL, OURS, PATTERN, Library, Service

WAYS: list[tuple[Library, Library]] = [(OURS, ORIGINAL), (ORIGINAL, OURS)]
QUICK = {"discovery_cache_ttl": 1}


def entry(service: Service) -> dict[str, str]:
    """A service as it is listed."""
    domain, of, kind = service.address
    return {"domain": domain, "type": kind, "id": of}


def listed(by: Service, service: Service, *of: str | None) -> None:
    """Returns when one lists the other."""
    wait_until(lambda: entry(service) in by.do("services", *of), what=f"{by.name} lists {service.name}")


def unlisted(by: Service, service: Service) -> None:
    wait_until(lambda: entry(service) not in by.do("services"), what=f"{by.name} no longer lists {service.name}")


@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_each_lists_the_other_until_it_is_gone(vhost: str, way: tuple[Library, Library]) -> None:
    watched, watching = way
    with (
        Service(watching, vhost, "watching", keep_alive=0.2, options=QUICK) as watcher,
        Service(watched, vhost, "watched", keep_alive=0.2, kind="door") as service,
    ):
        watcher.wait("up")
        service.wait("up")
        listed(watcher, service)
        listed(service, watcher)
        listed(watcher, service, "shop", "door")
        assert entry(service) not in watcher.do("services", "shop", "till")
        assert entry(service) not in watcher.do("services", "elsewhere")
        service.kill()
        unlisted(watcher, service)
        assert entry(watcher) in watcher.do("services")


@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_keep_alives_of_the_other_are_heard(vhost: str, way: tuple[Library, Library]) -> None:
    beating, hearing = way
    with (
        Service(hearing, vhost, "hearing") as listener,
        Service(beating, vhost, "beating", keep_alive=0.2) as service,
    ):
        listener.wait("up")
        service.wait("up")
        listener.do("keep_alives")
        expected = {"msg_type": "keep_alive", "service_domain": "shop", "service_id": "beating", "service_type": "till"}
        for count in (1, 2, 3):
            headers: dict[str, Any] = listener.wait("keep_alive", count=count)["headers"]
            assert {name: headers[name] for name in expected} == expected
        assert "ERROR" not in listener.output


def test_a_clique_of_both_is_one_entry(vhost: str) -> None:
    with (
        Service(OURS, vhost, "one", service_id="clique", keep_alive=0.2, options=QUICK) as ours,
        Service(ORIGINAL, vhost, "two", service_id="clique", keep_alive=0.2, options=QUICK) as original,
        Service(OURS, vhost, "watching", options=QUICK) as watcher,
    ):
        for service in (ours, original, watcher):
            service.wait("up")
        listed(watcher, original)
        listed(ours, original)
        assert watcher.do("services") == [entry(original)]
        original.kill()
        ours.do("keep_alives")
        ours.wait("keep_alive", count=8)  # longer than the time to live
        assert watcher.do("services") == [entry(ours)]
        ours.kill()
        unlisted(watcher, ours)


def test_ours_do_not_make_an_original_stumble(vhost: str) -> None:
    with Service(ORIGINAL, vhost, "original", keep_alive=0.2) as original:
        original.wait("up")
        # All that ours say beside keep-alives: that they come, who is asked for, and that they leave.
        with Service(OURS, vhost, "ours", keep_alive=0.2, serve=True, options={"service_version": "2.1"}) as ours:
            ours.wait("up")
            listed(original, ours)
            listed(ours, original)
            ours.stop()
        with Service(PATTERN, vhost, "pattern") as pattern:
            pattern.wait("up")
        assert original.do("services", "shop", "till") != []
        assert original.stderr == []


def test_what_an_original_does_not_say_is_not_made_up(vhost: str) -> None:
    with Service(OURS, vhost, "ours") as ours, Service(ORIGINAL, vhost, "original", keep_alive=0.2) as original:
        ours.wait("up")
        original.wait("up")
        listed(ours, original)
        (told,) = ours.do("services", details=True)
        assert told["version"] is None and told["versions"] == []
        assert told["native"] is False
        assert 0 <= told["last_seen"] < 5
