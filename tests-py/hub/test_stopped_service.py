"""A service that stands still (SIGSTOP), or reads slowly: the others go on."""

from __future__ import annotations

from typing import Any

import pytest
from harness import wait_until

from hub.actors import ORIGINAL, Service, Start, StartHub, meet

pytestmark = pytest.mark.timeout(120)
PADDING = 10_000


def flood(source: Service, well: Service) -> int:
    """Broadcasts 40 MB, each share after the one before has arrived where somebody reads; how many messages."""
    share, shares = 400, 10
    for number in range(shares):
        sent = source.do("flood", "send_broadcast", None, number * share, share, PADDING, deadline=60)
        assert sent == {"taken": share, "refused": 0}
        wanted = (number + 1) * share
        wait_until(lambda wanted=wanted: well.do("counts").get("broadcast") == wanted, 30, "a share has arrived")  # type: ignore[misc]
    return share * shares


def test_a_stopped_service_is_lost_its_drops_are_counted_and_it_comes_back(hub: StartHub, service: Start) -> None:
    place = hub()
    quick = {"options": {"beat": 0.2}}
    source = service("Source", **quick)
    well = service("Well", quiet=["broadcast"], **quick)
    stopped = service("Stopped", quiet=["broadcast"], **quick)
    meet(source, well)
    meet(source, stopped)
    source.wait("new_service", service="Stopped")
    stopped.freeze()
    assert source.wait("lost", 10, service="Stopped")["service"] == "Stopped"
    well.wait("lost", service="Stopped")
    # More than any buffer holds: the hub drops what the stopped one does not take, and counts it.
    count = flood(source, well)
    wait_until(lambda: dropped(place.stats()) > 0, 10, "drops are counted")
    stopped.thaw()
    source.wait("new_service", 20, service="Stopped", count=len(source.events("new_service", service="Stopped")))
    meet(source, stopped)
    assert source.call("stopped_mirror", 1) == 1
    delivered = stopped.do("counts").get("broadcast", 0)
    assert delivered < count
    known = [one["name"] for one in source.do("services")]
    assert "Stopped" in known


def dropped(stats: dict[str, Any]) -> int:
    """Messages that a hub has dropped for those who read too slowly."""
    slow: int = stats["dropped"]["slow"]
    return slow


def test_an_original_that_stands_still_stalls_nobody(hub: StartHub, service: Start) -> None:
    place = hub()
    source, well = service("Source"), service("Well", quiet=["broadcast"])
    stopped = service("Stopped", library=ORIGINAL, quiet=["broadcast"])
    meet(source, well)
    meet(source, stopped)
    stopped.freeze()
    flood(source, well)
    wait_until(lambda: dropped(place.stats()) > 0, 10, "drops are counted")
    stopped.thaw()
    meet(source, stopped)


def test_a_service_that_blocks_its_loop_is_not_lost(hub: StartHub, service: Start) -> None:
    hub()
    quick = {"options": {"beat": 0.2}}
    busy, watcher = service("Busy", **quick), service("Watcher", **quick)
    meet(watcher, busy)
    busy.begin("freeze", 2.0)
    watcher.broadcast("meanwhile")
    busy.wait("broadcast", data="meanwhile")
    assert not watcher.events("lost", service="Busy")


def test_a_slow_handler_does_not_delay_the_others(hub: StartHub, service: Start) -> None:
    hub()
    slow, quick, source = service("Slow"), service("Quick"), service("Source")
    meet(source, slow)
    meet(source, quick)
    source.request("slow_hold", 2.0)
    slow.wait("slow_hold")
    assert source.call("quick_mirror", 1, timeout=1.0) == 1
    assert source.call("slow_mirror", 2, timeout=1.5) == 2, "its other actions run beside"
    slow.wait("held")


def test_handlers_beyond_the_bound_wait_and_nothing_is_lost(hub: StartHub, service: Start) -> None:
    hub()
    bounded = service("Bounded", options={"max_running": 3}, quiet=["bounded_hold", "bounded_mirror"])
    source = service("Source")
    meet(source, bounded)
    for _ in range(12):
        source.request("bounded_hold", 0.2)
    bounded.wait("held", count=12)


def test_a_service_killed_is_lost_at_once(hub: StartHub, service: Start) -> None:
    hub()
    one, two = service("One"), service("Two")
    meet(one, two)
    one.wait("new_service", service="Two")
    two.kill()
    one.wait("lost", 2.0, service="Two")
    assert "Two" not in [known["name"] for known in one.do("services")]


def test_a_service_that_leaves_is_lost_at_once(hub: StartHub, service: Start) -> None:
    hub()
    one, two = service("One"), service("Two")
    meet(one, two)
    two.stop()
    one.wait("lost", 2.0, service="Two")
    assert len(one.events("lost")) == 1


@pytest.mark.parametrize("kind", ["original", "pyzmq"])
def test_at_a_foreign_hub_silence_tells(hub: StartHub, service: Start, kind: str) -> None:
    hub(kind)
    quick = {"options": {"beat": 0.2}}
    one, two = service("One", **quick), service("Two", **quick)
    one.wait("new_service", service="Two")
    two.kill()
    one.wait("lost", 5.0, service="Two")


def test_an_original_that_died_is_lost(hub: StartHub, service: Start) -> None:
    hub()
    one, two = service("One"), service("Two", library=ORIGINAL, options={"heartbeat_interval": 0.3})
    meet(one, two)
    one.wait("new_service", service="Two")
    two.kill()
    one.wait("lost", 10.0, service="Two")


def test_an_original_does_not_take_ours_for_lost(hub: StartHub, service: Start) -> None:
    hub()
    original = service("Original", library=ORIGINAL, options={"heartbeat_interval": 1, "heartbeat_timeout": 6})
    ours = service("One")
    meet(original, ours)
    # Its watch says so after six seconds of silence; a service that nobody knows shows that it has looked.
    original.request("nobody", 1)
    gone = service("Gone", library=ORIGINAL)
    meet(original, gone)
    gone.kill()
    original.wait("lost", 30.0, service="Gone")
    assert not original.events("lost", service="One")
    assert ours.returncode is None
