"""A hub that goes and comes back: nobody hangs, all register again, and what was sent is delivered or told of."""

from __future__ import annotations

import signal

import psutil  # type: ignore[import-untyped]
import pytest
from harness import wait_until

from hub.actors import ORIGINAL, Endpoints, Kind, Start, StartHub, meet

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("kind", ["ours", "original", "pyzmq"])
def test_all_register_again_after_the_hub_was_killed(hub: StartHub, service: Start, kind: Kind) -> None:
    first = hub(kind)
    options = {"hub": "never"}
    one, two = service("One", options=options), service("Two", options=options)
    meet(one, two)
    one.wait("connect")
    seen = len(one.events("connect"))
    first.kill()
    hub(kind)
    one.wait("connect", count=seen + 1)
    two.wait("connect", count=2)
    meet(one, two)
    meet(two, one)
    late = service("Late", options=options)
    late.wait("new_service", service="One")
    late.wait("new_service", service="Two")


def test_originals_are_known_again_after_our_hub_was_killed(hub: StartHub, service: Start) -> None:
    first = hub()
    original = service("Original", library=ORIGINAL)
    one = service("One", options={"hub": "never"})
    meet(one, original)
    first.kill()
    hub()
    one.wait("connect", count=2)
    meet(one, original)
    assert one.call("original_mirror", 1) == 1


def test_a_call_under_way_when_the_hub_dies_ends(hub: StartHub, service: Start) -> None:
    first = hub()
    options = {"hub": "never"}
    one, two = service("One", options=options), service("Two", options=options)
    meet(one, two)
    under_way = one.begin("call", "two_hold", None, timeout=3.0)
    two.wait("two_hold")
    first.kill()
    done = one.wait("done", number=under_way)
    assert {"DeadlineExceeded", "ConnectionLost"} & set(done["failed"])


COUNT = 60_000
"""Fewer than a hub keeps for a service that is behind: nothing is dropped on the way."""


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_under_load_what_was_sent_is_delivered_or_reported(
    hub: StartHub, service: Start, signal_number: signal.Signals
) -> None:
    """Sent = delivered + reported: what the old hub had taken and may not have handed on, its sender counts; what
    the new one got before the other service was there again, the hub counts.
    """
    first = hub()
    options = {"hub": "never"}
    sink = service("Sink", options=options, quiet=["response", "broadcast"], collect=["response"])
    source = service("Source", options=options)
    meet(source, sink)
    sink.wait("connect")
    started = sink.do("counts").get("response", 0)
    flooding = source.begin("flood", "response", "Sink", 0, COUNT, pause=0.002)
    wait_until(lambda: sink.do("counts").get("response", 0) > started + 500, what="the flood runs")
    if signal_number == signal.SIGKILL:
        first.kill()
    else:
        first.signal(signal_number)
        first.wait_exit()
    assert not source.events("done", number=flooding), "it was killed after the load"
    second = hub()
    outcome = source.result(flooding, 60)
    assert outcome["taken"] + outcome["refused"] == COUNT
    source.respond("Sink", "last")

    def arrived() -> bool:
        return "last" in sink.do("collected", "response")

    wait_until(arrived, 30, "the last message")
    received = [number for number in sink.do("collected", "response") if isinstance(number, int)]
    assert received == sorted(received), "order is kept"
    assert len(received) == len(set(received)), "nothing comes twice"
    lost = outcome["taken"] - len(received)
    unconfirmed, unwanted = source.do("stats")["unconfirmed"], second.stats()["unwanted"]
    assert 0 <= lost <= unconfirmed + unwanted, (lost, unconfirmed, unwanted)
    if unconfirmed:
        assert "ConnectionLost" in [event["kind"] for event in source.events("error")]
    assert len(received) > COUNT * 0.5


def test_what_was_sent_while_there_was_no_hub_arrives_when_it_is_back(hub: StartHub, service: Start) -> None:
    first = hub()
    options = {"hub": "never"}
    one, two = service("One", options=options), service("Two", options=options)
    meet(one, two)
    first.kill()
    one.wait("state")
    for number in range(20):
        one.respond("Two", number)
    hub()
    for number in range(20):
        two.wait("response", service="One", data=number)


def test_a_full_queue_waits_and_then_says_so(at: Endpoints, hub: StartHub, service: Start) -> None:
    first = hub()
    one = service("One", options={"hub": "never", "outbox_messages": 10, "send_timeout": 0.5})
    one.wait("connect")
    first.kill()
    outcome = one.do("flood", "response", "Nobody", 0, 12)
    assert outcome["taken"] >= 10
    assert outcome["refused"] >= 1
    one.do("counts")  # it lives
    hub()
    one.wait("connect", count=2)
    wait_until(lambda: one.do("flood", "response", "Nobody", 0, 1)["taken"] == 1, what="the queue is free again")


def test_no_descriptors_are_left_behind_by_twenty_hubs(hub: StartHub, service: Start) -> None:
    options = {"hub": "never"}
    one = service("One", options=options)
    first = hub()
    one.wait("connect")
    before = psutil.Process(one.pid).num_fds()
    for turn in range(20):
        first.kill()
        first = hub()
        one.wait("connect", count=turn + 2)
    assert psutil.Process(one.pid).num_fds() <= before + 2
