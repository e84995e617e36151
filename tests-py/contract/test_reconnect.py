"""A daemon that dies ends its calls at once, and the next call finds the one that took its place."""

from __future__ import annotations

import time

import ironbridge.bridge as meta
import pytest
from harness import lenient, wait_until

from contract.conftest import Serve

BOTH = pytest.mark.parametrize("hold", ["hold", "hold_plain"])


@BOTH
def test_a_daemon_killed_in_mid_call_ends_the_call_at_once(serve: Serve, hold: str) -> None:
    service = serve()
    caller, watcher = service.connect(), service.connect()
    under_way = caller.begin(hold, "it")
    wait_until(lambda: watcher.call("state", "it") == "held")
    begun = time.monotonic()
    service.kill()
    error = under_way.exception(10)
    assert time.monotonic() - begun < lenient(5.0)
    assert isinstance(error, meta.ConnectionLost), error
    assert (error.fate, error.may_have_run) == ("outcome unknown", True)
    caller.close()
    watcher.close()


def test_the_next_call_reconnects_by_itself(serve: Serve) -> None:
    service = serve()
    caller = service.connect()
    before = caller.call("pid")
    service.kill()
    service.start()
    assert caller.call("pid") == service.pid != before
    caller.close()


def test_without_a_service_a_call_fails_clearly_and_has_not_run(serve: Serve) -> None:
    service = serve()
    caller = service.connect()
    assert caller.call("echo", 1) == 1
    service.kill()
    error = caller.begin("echo", 2, timeout=2.0).exception(10)
    assert isinstance(error, (meta.ServiceNotFound, meta.ServiceUnavailable, meta.ConnectionLost)), error
    assert not error.may_have_run
    service.start()
    assert caller.call("echo", 3) == 3
    caller.close()


def test_nobody_there_is_told_as_such(serve: Serve) -> None:
    service = serve()
    service.kill()
    with pytest.raises((meta.ServiceNotFound, meta.ServiceUnavailable)):
        service.connect()
