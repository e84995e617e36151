"""Many calls at once: each gets its own answer, and none waits for a slow one."""

from __future__ import annotations

import pytest
from harness import wait_until

from contract.callers import Caller

BOTH = pytest.mark.parametrize("echo", ["echo", "echo_async"])


@BOTH
def test_a_thousand_calls_of_one_client_each_get_their_own_answer(caller: Caller, echo: str) -> None:
    under_way = [caller.begin(echo, number) for number in range(1000)]
    assert [one.result(15) for one in under_way] == list(range(1000))


def test_counts_add_up(caller: Caller) -> None:
    counts = sorted(one.result(15) for one in [caller.begin("count") for _ in range(500)])
    assert counts == list(range(counts[0], counts[0] + 500))


def test_a_hundred_slow_coroutines_run_side_by_side(caller: Caller) -> None:
    names = [f"side {number}" for number in range(100)]
    under_way = [caller.begin("hold", name) for name in names]
    wait_until(lambda: all(caller.call("state", name) == "held" for name in names[-3:]))
    for name in names:
        caller.call("release", name)
    assert [one.result(15) for one in under_way] == names


@BOTH
@pytest.mark.parametrize("hold", ["hold", "hold_plain"])
def test_a_slow_call_does_not_delay_others(caller: Caller, echo: str, hold: str) -> None:
    name = f"slow {echo} {hold}"
    slow = caller.begin(hold, name)
    wait_until(lambda: caller.call("state", name) == "held")
    assert [caller.call(echo, number, timeout=5.0) for number in range(50)] == list(range(50))
    assert not slow.done()
    caller.call("release", name)
    assert slow.result(15) == name
