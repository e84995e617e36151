"""A service that is told to end finishes what runs, takes nothing new, and then ends."""

from __future__ import annotations

import time

import ironbridge.bridge as meta
import pytest
from harness import lenient, wait_until

from contract.conftest import Serve


@pytest.mark.parametrize("work", ["work", "work_plain"])
def test_a_running_call_finishes_and_then_the_daemon_ends(serve: Serve, work: str) -> None:
    service = serve()
    caller, watcher = service.connect(), service.connect()
    under_way = caller.begin(work, "it", 0.5)
    wait_until(lambda: watcher.call("state", "it") == "held")
    service.terminate()
    assert under_way.result(10) == "it"
    assert service.wait_ended() == 0
    caller.close()
    watcher.close()


@pytest.mark.parametrize("hold", ["hold", "hold_plain"])
def test_what_has_not_finished_within_the_grace_period_is_ended(serve: Serve, hold: str) -> None:
    service = serve(environment={"IRONBRIDGE_GRACE": "0.3"})
    caller, watcher = service.connect(), service.connect()
    under_way = caller.begin(hold, "it")
    wait_until(lambda: watcher.call("state", "it") == "held")
    begun = time.monotonic()
    service.terminate()
    error = under_way.exception(10)
    # A coroutine is cancelled; a function is told, and what it returns then may still arrive.
    assert isinstance(error, meta.IronbridgeError) or (error is None and hold == "hold_plain")
    service.wait_ended()
    assert time.monotonic() - begun < lenient(5.0)
    caller.close()
    watcher.close()


def test_an_idle_service_ends_at_once(serve: Serve) -> None:
    service = serve()
    caller = service.connect()
    assert caller.call("echo", 1) == 1
    service.terminate()
    assert service.wait_ended() == 0
    caller.close()


def test_a_draining_service_is_left_for_the_one_that_follows(serve: Serve) -> None:
    service = serve()
    caller = service.connect()
    before = caller.call("pid")
    service.terminate()
    service.wait_ended()
    service.program.close()
    service.start()
    assert caller.call("pid") not in (None, before)
    caller.close()
