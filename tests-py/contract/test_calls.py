"""A call reaches its endpoint with its arguments and brings back what it returns."""

from __future__ import annotations

import os

import pytest

from contract.callers import Caller
from contract.lanes import Served

BOTH = pytest.mark.parametrize("echo", ["echo", "echo_async"])


@BOTH
@pytest.mark.parametrize("value", ["text", None, (1, "x"), {"k": [1, 2.5]}, b"\x00\xff", 10**30], ids=repr)
def test_what_is_returned_equals_what_was_sent(caller: Caller, echo: str, value: object) -> None:
    back = caller.call(echo, value)
    assert back == value
    assert type(back) is type(value)


def test_arguments_are_bound_as_in_a_local_call(caller: Caller) -> None:
    assert caller.call("shape", 1) == (1, 2, (), 3, {})
    assert caller.call("shape", 1, 5, 6, 7, c=8, d=9) == (1, 5, (6, 7), 8, {"d": 9})
    assert caller.call("shape", b=5, a=4) == (4, 5, (), 3, {})


@BOTH
@pytest.mark.parametrize("size", [60_000, 70_000, 4_000_000])
def test_large_values_cross_whole(caller: Caller, echo: str, size: int) -> None:
    sent = os.urandom(1000) * (size // 1000)
    assert caller.call(echo, sent) == sent


@BOTH
def test_calls_follow_each_other_in_order(caller: Caller, echo: str) -> None:
    assert [caller.call(echo, number) for number in range(200)] == list(range(200))


def test_a_batch_is_many_calls_each_with_its_own_outcome(caller: Caller) -> None:
    calls: list[tuple[str, object]] = [("echo", number) for number in range(50)]
    calls[25:25] = [("fail", "value"), ("echo_async", "coroutine")]
    outcomes = caller.batch(calls)
    assert [one.result() for one in outcomes[:25]] == list(range(25))
    assert isinstance(outcomes[25].exception(), ValueError)
    assert outcomes[26].result() == "coroutine"
    assert [one.result() for one in outcomes[27:]] == list(range(25, 50))


def test_what_the_service_counts_is_told(caller: Caller) -> None:
    before = caller.stats()
    for _ in range(5):
        caller.call("echo", 1)
    assert isinstance(caller.begin("fail", "value").exception(15), ValueError)
    after = caller.stats()
    assert after["calls"] >= before["calls"] + 6
    assert after["errors"] == before["errors"] + 1


def test_a_second_client_is_independent_of_the_first(served: Served, caller: Caller) -> None:
    other = served.connect()
    assert other.call("echo", "here") == "here"
    other.close()
    assert caller.call("echo", "still here") == "still here"
