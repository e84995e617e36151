"""The threads of plain handlers: as many as there is work for, each job in a context of its own, and a calm end."""

from __future__ import annotations

import contextvars
import gc
import os
import signal
import textwrap
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from harness import Program, wait_until
from ironbridge._engine import _Workers

PATIENCE = 10.0


class Gate:
    """A job that holds its thread until it is opened."""

    def __init__(self) -> None:
        self._entered = threading.Semaphore(0)
        self._open = threading.Event()

    def __call__(self) -> None:
        self._entered.release()
        assert self._open.wait(PATIENCE)

    def wait_entered(self, times: int = 1) -> None:
        for _ in range(times):
            assert self._entered.acquire(timeout=PATIENCE)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def workers() -> Iterator[_Workers]:
    made = _Workers(4)
    yield made
    assert made.stop(PATIENCE) == 0
    wait_until(lambda: made.threads() == 0)


def _run(submit: Callable[[Callable[[], object]], None]) -> None:
    """Leaves a job and waits for its end."""
    done = threading.Event()
    submit(done.set)
    assert done.wait(PATIENCE)


def test_threads_are_started_for_work_up_to_the_bound_and_taken_again(workers: _Workers) -> None:
    assert workers.threads() == 0
    for _ in range(50):
        _run(workers.submit)
        wait_until(lambda: workers.running() == 0)
    assert workers.threads() == 1
    gate = Gate()
    for _ in range(6):
        workers.submit(gate)
    gate.wait_entered(4)
    assert (workers.threads(), workers.running(), workers.waiting()) == (4, 4, 2)
    gate.open()
    gate.wait_entered(2)
    wait_until(lambda: workers.running() == 0)
    assert workers.threads() == 4


def test_each_job_is_run_once_whoever_leaves_it(workers: _Workers) -> None:
    seen: list[int] = []
    done = threading.Semaphore(0)

    def job(number: int) -> None:
        seen.append(number)
        done.release()

    def leave(first: int) -> None:
        for number in range(first, first + 500):
            workers.submit(partial(job, number))

    threads = [threading.Thread(target=leave, args=(first,)) for first in range(0, 4_000, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(4_000):
        assert done.acquire(timeout=PATIENCE)
    assert sorted(seen) == list(range(4_000))


def test_a_job_sees_nothing_of_anothers_context_and_has_the_threads_state(workers: _Workers) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    local, seen = threading.local(), []

    def job() -> None:
        seen.append((variable.get(), getattr(local, "kept", False)))
        variable.set("set")
        local.kept = True

    for _ in range(2):
        workers.submit(job)
        _run(workers.submit)
        wait_until(lambda: workers.running() == 0)
    assert seen in ([("unset", False), ("unset", True)], [("unset", False), ("unset", False)])
    assert variable.get() == "unset"


def test_signals_are_left_to_the_program(workers: _Workers) -> None:
    masks: list[set[int]] = []
    workers.submit(lambda: masks.append({int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])}))
    wait_until(lambda: masks)
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1} <= masks[0]


def test_a_job_that_raises_or_panics_takes_no_thread_along(workers: _Workers) -> None:
    for _ in range(20):
        workers.submit_panic()
    lane = workers.lane()
    _run(lane.submit)
    _run(workers.submit)


def test_a_lane_keeps_order_beside_others_and_never_runs_twice_at_once(workers: _Workers) -> None:
    lanes = [workers.lane() for _ in range(6)]
    seen: list[list[int]] = [[] for _ in lanes]
    busy = [threading.Lock() for _ in lanes]
    done = threading.Semaphore(0)

    def job(lane: int, number: int) -> None:
        assert busy[lane].acquire(blocking=False)
        seen[lane].append(number)
        busy[lane].release()
        done.release()

    for number in range(300):
        for index, lane in enumerate(lanes):
            lane.submit(partial(job, index, number))
    for _ in range(300 * len(lanes)):
        assert done.acquire(timeout=PATIENCE)
    assert seen == [list(range(300))] * len(lanes)


def test_a_lane_that_is_held_up_takes_one_thread_and_an_empty_one_none(workers: _Workers) -> None:
    lane, gate = workers.lane(), Gate()
    for _ in range(10):
        lane.submit(gate)
    gate.wait_entered()
    assert (workers.running(), workers.waiting(), lane.waiting()) == (1, 0, 9)
    _run(workers.submit)
    gate.open()
    wait_until(lambda: workers.running() == 0)
    assert lane.waiting() == 0


def test_lanes_that_always_have_work_take_turns() -> None:
    workers = _Workers(1)
    one, other, order = workers.lane(), workers.lane(), []
    gate = Gate()
    workers.submit(gate)
    gate.wait_entered()
    for _ in range(3):
        one.submit(lambda: order.append("one"))
    for _ in range(3):
        other.submit(lambda: order.append("other"))
    gate.open()
    wait_until(lambda: len(order) == 6)
    assert order == ["one", "other"] * 3
    assert workers.stop(PATIENCE) == 0


def test_stopping_waits_for_what_runs_and_drops_what_has_not_begun() -> None:
    workers, gate = _Workers(1), Gate()
    lane = workers.lane()
    dropped: list[str] = []
    workers.submit(gate)
    gate.wait_entered()
    workers.submit(lambda: dropped.append("run"), lambda: dropped.append("job"))
    lane.submit(lambda: dropped.append("run"), lambda: dropped.append("first of the lane"))
    lane.submit(lambda: dropped.append("run"), lambda: dropped.append("second of the lane"))
    assert workers.stop(0) == 1
    assert sorted(dropped) == ["first of the lane", "job", "second of the lane"]
    workers.submit(lambda: dropped.append("run"), lambda: dropped.append("late job"))
    lane.submit(lambda: dropped.append("run"), lambda: dropped.append("late in the lane"))
    assert sorted(dropped[3:]) == ["late in the lane", "late job"]
    threading.Timer(0.05, gate.open).start()
    assert workers.stop(PATIENCE) == 0
    wait_until(lambda: workers.threads() == 0)


def test_a_lane_that_runs_when_its_threads_stop_ends_with_its_job() -> None:
    workers, gate = _Workers(2), Gate()
    lane = workers.lane()
    dropped = threading.Event()
    lane.submit(gate)
    gate.wait_entered()
    lane.submit(lambda: None, dropped.set)
    assert workers.stop(0) == 1
    gate.open()
    assert workers.stop(PATIENCE) == 0
    assert dropped.wait(PATIENCE)


def test_a_job_that_stops_its_own_threads_does_not_wait_for_itself() -> None:
    workers = _Workers(2)
    left: list[int] = []
    workers.submit(lambda: left.append(workers.stop(PATIENCE)))
    wait_until(lambda: left)
    assert left == [0]


def test_threads_end_with_the_last_who_could_give_them_work() -> None:
    before = len(os.listdir("/proc/self/task"))
    workers = _Workers(4)
    lane = workers.lane()
    _run(workers.submit)
    _run(lane.submit)
    del workers, lane
    gc.collect()
    wait_until(lambda: len(os.listdir("/proc/self/task")) <= before)


def _program(text: str) -> Program:
    head = """
        import os, sys, threading, time
        from ironbridge._engine import _Workers, _Slot
    """
    return Program.python(textwrap.dedent(head) + textwrap.dedent(text))


def _ends(text: str, status: int = 0) -> list[str]:
    with _program(text) as running:
        assert running.wait_exit(20) == status, running.output
        assert not running.stderr, running.output
        return running.stdout


def test_ctrl_c_ends_the_wait_for_what_runs() -> None:
    text = """
        workers, gate = _Workers(1), threading.Event()
        begun = threading.Event()
        workers.submit(lambda: (begun.set(), gate.wait()))
        begun.wait()
        print("holds")
        try:
            workers.stop(60)
        except KeyboardInterrupt:
            print("interrupted")
        """
    with _program(text) as running:
        running.wait_line("holds")
        wait_until(running.waits)
        running.interrupt()
        running.wait_line("interrupted")
        assert running.wait_exit(10) == 0, running.output


def test_a_forked_child_has_threads_of_its_own_and_its_parent_keeps_its() -> None:
    text = """
        workers, gate, held = _Workers(2), threading.Event(), threading.Barrier(3)
        lane = workers.lane()
        for _ in range(2):
            workers.submit(lambda: (held.wait(), gate.wait()))
        held.wait()
        lane.submit(lambda: print("lane of", "parent"))
        child = os.fork()
        if not child:
            assert (workers.threads(), workers.running(), workers.waiting(), lane.waiting()) == (0, 0, 0, 0)
        for submit in (workers.submit, lane.submit):
            done = threading.Event()
            submit(done.set)
            gate.set()
            assert done.wait(10)
        assert workers.stop(10) == 0
        if child:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        print("parent" if child else "child")
        """
    assert sorted(_ends(text)) == ["child", "lane of parent", "parent"]


@pytest.mark.parametrize(("outcome", "status"), [("None", 0), ("sys.exit(5)", 5)])
def test_a_child_that_a_job_has_forked_ends_with_the_job(outcome: str, status: int) -> None:
    text = f"""
        workers, done, children = _Workers(1), threading.Event(), []
        def job():
            child = os.fork()
            if not child:
                {outcome}
                return
            children.append(child)
            done.set()
        workers.submit(job)
        assert done.wait(10)
        print(os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]))
        assert workers.stop(10) == 0
        """
    assert _ends(text) == [str(status)]


# An object that is only freed at the interpreter's very end, and takes its time: whoever comes back meanwhile finds no
# interpreter any more.
_LONG_END = """
class Last:
    def __del__(self, sleep=time.sleep):
        sleep(0.3)
sys.last = Last()
"""


@pytest.mark.parametrize("status", [0, 3])
def test_a_program_ends_with_jobs_that_come_and_go_in_python(status: int) -> None:
    text = f"""
        workers, going = _Workers(8), threading.Barrier(9)
        def spin():
            going.wait()
            while True:
                time.sleep(0.0005)
        for _ in range(8):
            workers.submit(spin)
        going.wait()
        assert workers.stop(0.01) == 8
        {textwrap.indent(_LONG_END, " " * 8).strip()}
        sys.exit({status})
        """
    _ends(text, status)


def test_a_program_ends_with_jobs_that_end_and_follow_each_other() -> None:
    text = f"""
        workers, lane = _Workers(4), None
        lane = workers.lane()
        def job():
            time.sleep(0.001)
            lane.submit(job)
            workers.submit(job)
        for _ in range(8):
            workers.submit(job)
        {textwrap.indent(_LONG_END, " " * 8).strip()}
        """
    _ends(text)
