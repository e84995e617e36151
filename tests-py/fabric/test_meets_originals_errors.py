"""What callers see of failures, between ours and the originals, each way."""

from __future__ import annotations

from typing import Any

import pytest

from fabric.actors import ORIGINAL, OURS, PATTERN, Failed, Service
from fabric.meeting import Pair, meeting

PATTERN_ERROR = "aio_pika.patterns.rpc.JsonRPCError"
REMOTE = "ironbridge.errors.RemoteExecutionError"


def failure(pair: Pair, method: str, /, **given: Any) -> Failed:
    with pytest.raises(Failed) as failed:
        pair.call(method, **given)
    return failed.value


@pytest.mark.parametrize("method", ["fail", "afail"])
@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("ValueError", ["bad", 3]),
        ("KeyError", ["k"]),
        ("ZeroDivisionError", []),
        ("OSError", [2, "no"]),
        ("TimeoutError", ["late"]),
        ("RuntimeError", [{"a": [None, "é"]}]),
        ("UnicodeError", ["olá"]),
    ],
)
def test_a_builtin_exception_reaches_the_caller(pair: Pair, method: str, kind: str, given: list[Any]) -> None:
    failed = failure(pair, method, kind=kind, given=given)
    shown = "FileNotFoundError(2, 'no')" if kind == "OSError" else f"{kind}({', '.join(map(repr, given))})"
    name = shown.partition("(")[0]
    if pair.caller.library == PATTERN:
        assert failed.kinds[0] == PATTERN_ERROR
        payload = eval(failed.given)[1]["error"]
        assert (payload["type"], payload["message"], payload["args"]) == (name, shown, given)
    elif pair.caller.library == ORIGINAL:
        assert failed.kinds[0] == name
        assert eval(failed.given) == (shown, given)
    else:
        assert failed.kinds[0] == REMOTE
        assert name in failed.kinds
        assert eval(failed.given) == tuple(given)
        assert failed.facts["type_name"] == repr(name)
        assert failed.facts["fate"] == "'executed'"


def test_an_exception_of_the_services_own_class_is_known_by_its_name(pair: Pair) -> None:
    failed = failure(pair, "fail", kind="Known", given=["x", 1])
    if pair.caller.library == PATTERN:
        payload = eval(failed.given)[1]["error"]
        assert (payload["type"], payload["args"]) == ("__main__.Known", ["x", 1])
    elif pair.caller.library == ORIGINAL or pair.server.library == ORIGINAL:
        assert "__main__.Known" in failed.kinds
    else:
        # It says the class's bare name: which module's it is, nobody knows.
        assert failed.kinds[0] == REMOTE
        assert failed.facts["type_name"] == "'Known'"
        assert eval(failed.given) == ("x", 1)


def test_a_class_that_the_caller_does_not_have_is_told_by_its_text(pair: Pair) -> None:
    failed = failure(pair, "afail", kind="Unheard", given=["x"])
    if pair.caller.is_ours:
        assert failed.kinds[0] == REMOTE
        assert "Unheard" in failed.facts["type_name"]
        assert eval(failed.given) == ("x",)
    else:
        assert failed.kinds[0] == PATTERN_ERROR
        payload = eval(failed.given)[1]["error"]
        assert (payload["type"], payload["message"], payload["args"]) == ("elsewhere.Unheard", "Unheard('x')", ["x"])


def test_a_class_whose_constructor_takes_other_arguments_reaches_the_caller(pair: Pair) -> None:
    failed = failure(pair, "fail", kind="JSONDecodeError", given=["m", "doc", 1])
    if pair.caller.is_ours:
        assert failed.kinds[0] == REMOTE
        assert "JSONDecodeError" in failed.facts["type_name"]
        assert "m: line 1 column 2 (char 1)" in failed.text
    elif pair.caller.library == PATTERN:
        assert eval(failed.given)[1]["error"]["type"] == "json.decoder.JSONDecodeError"


def test_the_end_of_an_iteration_does_not_leave_its_caller_waiting(pair: Pair) -> None:
    for method in ("fail", "afail"):
        failed = failure(pair, method, kind="StopIteration", given=[1])
        assert "RuntimeError" in (failed.given if pair.caller.library == PATTERN else " ".join(failed.kinds))


def test_a_result_that_json_does_not_have_is_told(pair: Pair) -> None:
    failed = failure(pair, "give", text="{(1, 2): 3}")
    if pair.caller.library == ORIGINAL:
        assert failed.kinds[0] == "RuntimeError"
    elif pair.caller.library == PATTERN:
        assert eval(failed.given)[1]["error"]["type"] == "RuntimeError"
    else:
        assert failed.kinds[0] == REMOTE
        assert "keys must be str" in failed.text
    if pair.server.is_ours:
        assert "result" in failed.given
    assert pair.call("add", x=1, y=2) == 3


def test_an_exit_in_a_method_is_answered_and_spares_the_clique(vhost: str) -> None:
    with meeting(OURS, ORIGINAL, vhost) as pair, Service(OURS, vhost, "next", service_id="server", serve=True) as other:
        other.wait("up")
        for method in ("fail", "afail"):
            failed = failure(pair, method, kind="SystemExit", given=[3])
            assert "SystemExit" in failed.given + failed.text
        # At most the one that ran it has ended.
        assert [pair.call("add", x=1, y=2) for _ in range(5)] == [3] * 5
        assert None in (pair.server.returncode, other.returncode)


def test_a_call_that_expires_at_our_server_is_told_to_the_originals_caller(vhost: str) -> None:
    with meeting(OURS, PATTERN, vhost) as pair:
        assert pair.caller.call_within(pair.server, "aecho", 10, value=1) == 1
        with pytest.raises(Failed) as failed:
            pair.caller.call_within(pair.server, "hold", 0.3)
        assert failed.value.kinds[0] == "TimeoutError"
        assert pair.call("add", x=1, y=2) == 3


def test_our_deadline_ends_a_call_of_an_originals_server(vhost: str) -> None:
    with meeting(ORIGINAL, OURS, vhost) as pair, Service(OURS, vhost, "hasty", options={"call_timeout": 0.3}) as hasty:
        hasty.wait("up")
        for _ in range(2):  # the second waits in the queue behind the first
            with pytest.raises(Failed) as failed:
                hasty.call(pair.server, "hold")
            assert failed.value.kinds[0] == "ironbridge.errors.DeadlineExceeded"
            assert "TimeoutError" in failed.value.kinds
            assert failed.value.facts["fate"] == "'outcome unknown'"
        pair.server.do("release")
        assert pair.call("hold") == "server held"
        # The second ran never: it had expired in the queue.
        pair.server.wait("holding", count=2)
        assert len(pair.server.events("holding")) == 2
