"""A call ends by its deadline, and nobody works for a caller who has gone."""

from __future__ import annotations

import time

import ironbridge.bridge as meta
import pytest
from harness import lenient, wait_until

from contract.callers import Caller
from contract.lanes import Served

BOTH = pytest.mark.parametrize("hold", ["hold", "hold_plain"])


@pytest.fixture
def watcher(served: Served) -> Caller:
    """A second client, to ask how the first one's calls go."""
    return served.connect()


@BOTH
def test_a_deadline_ends_the_call_in_time_and_tells_that_it_may_have_run(caller: Caller, hold: str) -> None:
    begun = time.monotonic()
    with pytest.raises(meta.DeadlineExceeded) as caught:
        caller.call(hold, f"deadline {hold}", timeout=0.3)
    assert 0.3 <= time.monotonic() - begun < lenient(2.0)
    assert caught.value.may_have_run
    assert isinstance(caught.value, TimeoutError)
    assert caller.call("echo", "next") == "next"


@BOTH
def test_the_endpoint_learns_that_the_deadline_has_passed(caller: Caller, hold: str) -> None:
    name = f"learns {hold}"
    with pytest.raises(meta.DeadlineExceeded):
        caller.call(hold, name, timeout=0.3)
    wait_until(lambda: caller.call("state", name) == "cancelled")


def test_the_endpoint_is_told_how_long_it_has(caller: Caller) -> None:
    assert 4.0 < caller.call("remaining", timeout=5.0) <= 5.0


@BOTH
def test_a_call_that_is_given_up_stops_over_there(caller: Caller, watcher: Caller, hold: str) -> None:
    name = f"given up {hold}"
    caller.give_up(hold, name, when=lambda: wait_until(lambda: watcher.call("state", name) == "held"))
    wait_until(lambda: watcher.call("state", name) == "cancelled")
    assert caller.call("echo", "next") == "next"
    watcher.close()


@BOTH
def test_a_client_that_closes_leaves_no_call_behind(served: Served, watcher: Caller, hold: str) -> None:
    name = f"left {hold}"
    leaving = served.connect()
    leaving.give_up(hold, name, when=lambda: wait_until(lambda: watcher.call("state", name) == "held"))
    leaving.close()
    wait_until(lambda: watcher.call("state", name) == "cancelled")
    watcher.close()


def test_a_call_in_time_is_not_disturbed_by_its_deadline(caller: Caller) -> None:
    for number in range(50):
        assert caller.call("echo_async", number, timeout=5.0) == number
