"""`call` and `call_all`: what every caller of this project may expect of a call, through a hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from harness import wait_until

from hub.actors import ORIGINAL, OURS, Failed, Hub, Kind, Service, Start, StartHub, meet
from hub.conftest import endpoints


@dataclass
class Met:
    """Two of ours at a hub."""

    hub: Hub
    caller: Service
    callee: Service


@pytest.fixture(scope="module", params=["ours-ipc", "ours-tcp", "original-ipc", "pyzmq-tcp"])
def met(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Met]:
    words: tuple[Kind, str] = request.param.split("-")
    kind, transport = words
    at = endpoints(transport, tmp_path_factory.mktemp("hub"))
    with ExitStack() as stack:
        hub = stack.enter_context(Hub(kind, at))
        caller = stack.enter_context(Service(OURS, "Caller", at))
        callee = stack.enter_context(Service(OURS, "Callee", at))
        meet(caller, callee)
        caller.wait("new_service", service="Callee")
        yield Met(hub, caller, callee)


def test_an_answer_is_what_the_action_returned(met: Met) -> None:
    values: list[object] = [None, 0, "x", [], {"deep": [{}]}, 2**60, "\U0001f680"]
    for value in values:
        assert met.caller.call("callee_mirror", value) == value


def test_an_error_has_the_class_the_text_and_the_traceback_of_the_other_side(met: Met) -> None:
    with pytest.raises(Failed) as failed:
        met.caller.call("callee_fail", "so")
    assert {"RemoteExecutionError", "ValueError"} <= set(failed.value.kinds)
    assert "so" in failed.value.text
    assert "raise ValueError(data)" in failed.value.facts["remote_traceback"]
    assert "ValueError" in failed.value.facts["type_name"]


def test_an_error_of_an_unheard_class_is_a_remote_execution_error(met: Met) -> None:
    with pytest.raises(Failed) as failed:
        met.caller.call("callee_unheard", "of")
    assert failed.value.kinds[0] == "RemoteExecutionError"
    assert "Unheard" in failed.value.facts["type_name"]


def test_a_call_ends_at_its_deadline(met: Met) -> None:
    with pytest.raises(Failed) as failed:
        met.caller.call("callee_hold", None, timeout=0.3, deadline=5.0)
    assert "DeadlineExceeded" in failed.value.kinds


def test_nobody_works_for_a_caller_whose_deadline_has_passed(met: Met) -> None:
    with pytest.raises(Failed):
        met.caller.call("callee_hold", "late", timeout=0.3)
    met.callee.wait("cancelled", data="late")


def test_a_call_of_an_action_nobody_has_says_so(met: Met) -> None:
    with pytest.raises(Failed) as failed:
        met.caller.call("nobody_mirror", 1, timeout=0.5, deadline=5.0)
    assert "ServiceNotFound" in failed.value.kinds


def test_a_cancelled_call_is_forgotten(met: Met) -> None:
    assert met.caller.do("abandon", "callee_hold", 0.5, 0.1) == "cancelled"
    assert met.caller.call("callee_mirror", "next") == "next"


def test_many_calls_at_once_each_have_their_own_answer(met: Met) -> None:
    # A foreign hub's own queues hold a thousand messages, and it drops what is more.
    count = 5000 if met.hub.kind == "ours" else 300
    assert met.caller.do("calls", "callee_mirror", count, 30, deadline=40) == {"right": count}


def test_a_value_that_cannot_be_written_is_refused_at_the_caller(met: Met) -> None:
    with pytest.raises(Failed) as failed:
        met.caller.call("callee_impossible", 1)
    assert "DeadlineExceeded" not in failed.value.kinds


def test_a_service_may_call_itself(met: Met) -> None:
    assert met.caller.call("caller_mirror", "me") == "me"


def test_call_all_collects_from_all_who_have_the_action(met: Met) -> None:
    with (
        Service(OURS, "Shared", met.hub.at, prefix="many_") as one,
        Service(OURS, "Shared", met.hub.at, prefix="many_") as two,
        Service(ORIGINAL, "Third", met.hub.at, prefix="many_") as original,
    ):
        for each in (one, two):
            each.wait("connect")
        original.wait("up")
        wait_until(
            lambda: sum("many_mirror" in known["actions"] for known in met.caller.do("services")) >= 3,
            what="all three are known",
        )
        # It registers before it hears.
        wait_until(lambda: met.caller.request("many_mirror", 0) or original.events("many_mirror"))  # type: ignore[func-returns-value]
        answers = met.caller.do("call_all", "many_mirror", 3, timeout=5.0)
        assert sorted(answers) == [["Shared", 3], ["Shared", 3], ["Third", 3]]
        failures = met.caller.do("call_all", "many_fail", 3, timeout=5.0)
        assert sorted(name for name, _ in failures) == ["Shared", "Shared", "Third"]
        assert all("ValueError" in str(answer) or "RemoteExecution" in str(answer) for _, answer in failures)


def test_calls_wait_for_a_hub_that_is_away_and_are_answered_when_it_is_back(hub: StartHub, service: Start) -> None:
    first = hub()
    options = {"hub": "never"}
    caller, callee = service("Caller", options=options), service("Callee", options=options)
    meet(caller, callee)
    first.kill()
    hub()
    caller.wait("connect", count=2)
    callee.wait("connect", count=2)
    assert caller.call("callee_mirror", 1) == 1


def test_a_service_that_stops_finishes_what_it_runs(hub: StartHub, service: Start) -> None:
    hub()
    caller, callee = service("Caller"), service("Callee")
    meet(caller, callee)
    under_way = caller.begin("call", "callee_hold", 1.0, timeout=20)
    callee.wait("callee_hold")
    callee.begin("stop")
    assert caller.result(under_way) == 1.0
    callee.wait("ended")


def test_running_calls_beyond_the_grace_are_cancelled_and_their_callers_told(hub: StartHub, service: Start) -> None:
    hub()
    caller, callee = service("Caller"), service("Callee", options={"grace": 0.3})
    meet(caller, callee)
    under_way = caller.begin("call", "callee_hold", None, timeout=20)
    callee.wait("callee_hold")
    callee.begin("stop")
    callee.wait("cancelled")
    with pytest.raises(Failed) as failed:
        caller.result(under_way, 10)
    assert {"ServiceUnavailable", "ConnectionLost", "RemoteExecutionError"} & set(failed.value.kinds)


def test_a_call_to_a_service_that_is_killed_ends_before_its_deadline(hub: StartHub, service: Start) -> None:
    hub()
    caller, callee = service("Caller"), service("Callee")
    meet(caller, callee)
    caller.wait("new_service", service="Callee")
    under_way = caller.begin("call", "callee_hold", None, timeout=30)
    callee.wait("callee_hold")
    callee.kill()
    with pytest.raises(Failed) as failed:
        caller.result(under_way, 10)
    assert {"ConnectionLost", "ServiceUnavailable"} & set(failed.value.kinds)
