"""Over a bound there is an error that says so, never growth; and the connection goes on."""

from __future__ import annotations

import ironbridge.bridge as meta
import pytest
from harness import wait_until

from contract.callers import Caller
from contract.conftest import Serve


def test_a_message_over_the_limit_is_refused_before_it_is_sent(caller: Caller) -> None:
    with pytest.raises(meta.PayloadError, match="max_frame") as caught:
        caller.call("echo", b"x" * (65 << 20))
    assert not caught.value.may_have_run
    assert caller.call("echo", "next") == "next"


def test_the_bound_of_the_service_holds_for_what_is_sent_to_it_and_what_it_returns(serve: Serve) -> None:
    service = serve(environment={"IRONBRIDGE_MAX_FRAME": "100000"})
    caller = service.connect()
    with pytest.raises(meta.PayloadError) as caught:
        caller.call("echo", b"x" * 200_000)
    assert not caught.value.may_have_run
    with pytest.raises(meta.PayloadError):
        caller.call("zeros", 200_000)
    assert caller.call("echo", b"x" * 50_000) == b"x" * 50_000
    caller.close()


def test_a_value_too_deep_is_refused(caller: Caller) -> None:
    deep: list[object] = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(meta.PayloadError):
        caller.call("echo", deep)
    assert caller.call("echo", [[1]]) == [[1]]


def test_over_the_bound_of_connections_the_new_one_is_told_overloaded(serve: Serve) -> None:
    service = serve(environment={"IRONBRIDGE_MAX_CONNECTIONS": "4"})
    callers: list[Caller] = []

    def crowd() -> None:
        for _ in range(20):
            caller = service.connect()
            callers.append(caller)
            caller.call("echo", 1, timeout=5.0)

    with pytest.raises(meta.Overloaded) as caught:
        crowd()
    assert not caught.value.may_have_run
    for caller in callers[1:]:
        caller.close()
    wait_until(lambda: _calls(callers[0]))
    callers[0].close()


def _calls(caller: Caller) -> bool:
    try:
        return bool(caller.call("echo", True))
    except meta.Overloaded:
        return False


def test_over_the_bound_of_waiting_calls_the_next_is_told_overloaded(serve: Serve) -> None:
    service = serve(environment={"IRONBRIDGE_MAX_QUEUE": "2"}, threads=2)
    caller = service.connect()
    held = [caller.begin("hold_plain", f"it {number}", timeout=3.0) for number in range(24)]
    errors = [one.exception(15) for one in held]
    told = [error for error in errors if isinstance(error, meta.Overloaded)]
    assert told, errors
    assert not any(error.may_have_run for error in told)
    assert all(isinstance(error, (meta.Overloaded, meta.DeadlineExceeded)) for error in errors), errors
    wait_until(lambda: _calls(caller))
    caller.close()


def test_more_clients_than_threads_are_all_served(serve: Serve) -> None:
    service = serve(threads=2)
    callers = [service.connect() for _ in range(24)]
    assert [caller.call("echo", number) for number, caller in enumerate(callers)] == list(range(24))
    for caller in callers:
        caller.close()
