"""Several workers behind one name: equal arguments reach one of them, which has that instance."""

from __future__ import annotations

import os
import signal

from harness import wait_until
from ironbridge import _engine

from contract.callers import Caller
from contract.conftest import Serve

NAMES = "abcdef"


def _pids(callers: list[Caller]) -> set[int]:
    """Who answers these callers, over several connections of each."""
    under_way = [caller.begin("pid") for caller in callers for _ in range(4)]
    return {call.result(15) for call in under_way}


def test_equal_arguments_reach_the_same_worker(serve: Serve) -> None:
    service = serve(workers=3)
    used = set[int]()
    for name in NAMES:
        callers = [service.connect(name) for _ in range(3)]
        answered = _pids(callers)
        assert len(answered) == 1, (name, answered)
        used |= answered
        for caller in callers:
            caller.close()
    assert len(used) > 1, used


def test_who_takes_a_killed_workers_place_has_its_instances(serve: Serve) -> None:
    service = serve(workers=2)
    callers = {name: [service.connect(name) for _ in range(2)] for name in NAMES}
    before = {name: _pids(mine).pop() for name, mine in callers.items()}
    victim = before[NAMES[0]]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: {lease["pid"] for lease in _engine.leases("contract")} - set(before.values()))
    for name, mine in callers.items():
        answered = _pids([*mine, newcomer := service.connect(name)])
        newcomer.close()
        assert len(answered) == 1, (name, answered)
        assert victim not in answered
        assert before[name] in (*answered, victim), (name, answered)
    for mine in callers.values():
        for caller in mine:
            caller.close()
