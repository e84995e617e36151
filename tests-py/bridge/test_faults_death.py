"""A daemon that is killed or stopped under load: every call ends, and what its error says is true."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import ironbridge.bridge as meta
import pytest
from bridge.faulty import PATIENCE, Daemon, Load, program
from harness import lenient, wait_until

ASYNC_TOO = pytest.mark.parametrize("hold", ["hold", "hold_async"])


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with Daemon() as running:
        yield running


def _counts_of(load: Load) -> None:
    """Every call that was begun has one outcome."""
    assert load.outcomes.total() == load.begun, load.outcomes


def _connections(client: meta.ServiceClient) -> int:
    counted: int = client.stats()["connections"]["open"]
    return counted


def _may_have_run(load: Load) -> int:
    return sum(error.may_have_run for error in load.errors if isinstance(error, meta.IronbridgeError))


def test_kill_under_load_ends_every_call_and_the_counts_add_up(tmp_path_factory: pytest.TempPathFactory) -> None:
    marks = tmp_path_factory.mktemp("marks")
    with Daemon(environment={"FAULTS_MARKS": str(marks)}) as daemon:
        load = Load(daemon.connect(), lambda client: client.mark(), threads=16)
        with load:
            wait_until(lambda: len(os.listdir(marks)) and (marks / "count").stat().st_size > 500)
            daemon.kill()
            load.finish()
        _counts_of(load)
        ran = (marks / "count").stat().st_size
        results = load.outcomes["result"]
        # What has run and brought no result is among those that say so; and those that say "not sent" have not run.
        assert results <= ran <= results + _may_have_run(load), (ran, load.outcomes)
        lost = [error for error in load.errors if isinstance(error, meta.ConnectionLost)]
        assert lost, load.outcomes
        assert set(load.outcomes) <= {"result", "ConnectionLost", "ServiceNotFound", "ServiceUnavailable"}


@ASYNC_TOO
def test_a_call_under_way_ends_at_once_when_its_daemon_is_killed(daemon: Daemon, hold: str) -> None:
    client, watcher = daemon.connect(), daemon.connect()
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(client.call, hold, "it")
        wait_until(lambda: watcher.state("it") == "held")
        begun = time.monotonic()
        os.kill(daemon.pid, signal.SIGKILL)
        error = under_way.exception(PATIENCE)
    assert time.monotonic() - begun < lenient(2.0)
    assert isinstance(error, meta.ConnectionLost), error
    assert (error.fate, error.may_have_run) == ("outcome unknown", True)


def test_the_name_is_free_at_once(daemon: Daemon) -> None:
    daemon.connect().close()
    daemon.kill()
    begun = time.monotonic()
    with Daemon(name=daemon.name) as next_one:
        assert next_one.pid != daemon.pid
        # A fresh interpreter, and no wait for the dead one's lease.
        assert time.monotonic() - begun < lenient(3.0)
        with next_one.connect() as client:
            assert client.pid() == next_one.pid


def test_calls_and_batches_find_the_daemon_that_took_its_place(daemon: Daemon) -> None:
    client = daemon.connect()
    first = client.pid()
    for call in (_one, _batched, _coroutine):
        daemon.kill()
        daemon.start()
        assert call(client) == daemon.pid != first


def _one(client: meta.ServiceClient) -> object:
    return client.pid()


def _batched(client: meta.ServiceClient) -> object:
    with client.batch() as batch:
        pids = [batch.pid() for _ in range(10)]
    found = {pid.result() for pid in pids}
    assert len(found) == 1
    return found.pop()


def _coroutine(client: meta.ServiceClient) -> object:
    assert client.nap(0.0) == 0.0
    return client.pid()


def test_callers_that_wait_for_a_service_find_it_when_it_is_back(daemon: Daemon) -> None:
    daemon.kill()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(meta.connect, daemon.name, timeout=PATIENCE) for _ in range(8)]
        daemon.start()
        assert {one.result(PATIENCE).pid() for one in waiting} == {daemon.pid}


def test_idempotent_calls_survive_a_daemon_that_is_replaced(daemon: Daemon) -> None:
    client = daemon.connect().with_options(idempotent=True)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(client.hold, "it")
        watcher = daemon.connect()
        wait_until(lambda: watcher.state("it") == "held")
        os.kill(daemon.pid, signal.SIGKILL)
        error = under_way.exception(PATIENCE)
    # Nobody serves the name: that is what is told, not a call that never ends.
    assert isinstance(error, (meta.ServiceNotFound, meta.ServiceUnavailable, meta.ConnectionLost)), error


def test_a_frozen_daemon_ends_calls_by_their_deadline_and_goes_on_afterwards(daemon: Daemon) -> None:
    client = daemon.connect().with_options(timeout=0.5)
    numbers = itertools.count()
    load = Load(client, lambda client: client.count(f"{next(numbers) % 7}"), threads=8)
    with load:
        wait_until(lambda: client.counted("0") > 20)
        daemon.freeze()
        frozen = time.monotonic()
        wait_until(lambda: time.monotonic() - frozen > 1.2)
        daemon.thaw()
        load.finish()
    _counts_of(load)
    assert set(load.outcomes) <= {"result", "DeadlineExceeded"}, load.outcomes
    assert load.outcomes["DeadlineExceeded"] >= 8
    patient = client.with_options(timeout=PATIENCE)
    ran = sum(patient.counted(str(number)) for number in range(7))
    assert load.outcomes["result"] <= ran <= load.outcomes["result"] + _may_have_run(load)


@ASYNC_TOO
def test_a_deadline_holds_while_the_daemon_is_stopped(daemon: Daemon, hold: str) -> None:
    client = daemon.connect()
    assert client.nap(0.0) == 0.0
    daemon.freeze()
    for timeout in (0.05, 0.3):
        begun = time.monotonic()
        with pytest.raises(meta.DeadlineExceeded) as caught:
            client.with_options(timeout=timeout).call(hold, "never")
        assert timeout <= time.monotonic() - begun < timeout + lenient(1.0)
        assert isinstance(caught.value, TimeoutError)
    # The connection of the first was given up; the second could open none, and has not run.
    assert (caught.value.fate, caught.value.may_have_run) == ("not sent", False)
    daemon.thaw()
    assert client.echo("back") == "back"


@pytest.mark.parametrize("how", ["os.fork", "libc fork"])
def test_a_grandchild_that_outlives_the_daemon_keeps_neither_name_nor_callers(daemon: Daemon, how: str) -> None:
    client, watcher = daemon.connect(), daemon.connect()
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(client.fork, how, "grandchild")
        grandchild = int(wait_until(lambda: watcher.state("grandchild")))
        try:
            os.kill(daemon.pid, signal.SIGKILL)
            if how == "os.fork":
                # It has let go of the callers' connections, so they learn of the death at once.
                assert isinstance(under_way.exception(PATIENCE), meta.ConnectionLost)
            begun = time.monotonic()
            with Daemon(name=daemon.name) as next_one:
                assert time.monotonic() - begun < lenient(5.0)
                with next_one.connect() as fresh:
                    assert fresh.pid() == next_one.pid
                os.kill(grandchild, 0)
        finally:
            os.kill(grandchild, signal.SIGKILL)
        assert isinstance(under_way.exception(PATIENCE), meta.ConnectionLost)


def test_a_caller_that_is_killed_leaves_nothing_behind(daemon: Daemon) -> None:
    watcher = daemon.connect()
    before = _connections(watcher)
    with program("client = meta.connect(NAME)\nclient.hold_until_cancelled('left')", daemon) as caller:
        wait_until(lambda: watcher.state("left") == "held")
        assert _connections(watcher) > before
        caller.kill()
        wait_until(lambda: watcher.state("left") == "cancelled")
    wait_until(lambda: _connections(watcher) == before)


def test_nothing_is_left_open_by_calls_that_were_given_up(daemon: Daemon) -> None:
    client = daemon.connect()
    impatient = client.with_options(timeout=0.05)
    descriptors = len(os.listdir("/proc/self/fd"))
    threads = threading.active_count()
    for number in range(20):
        with pytest.raises(meta.DeadlineExceeded):
            impatient.hold(f"given up {number}")
        client.release(f"given up {number}")
    assert client.echo(1) == 1
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 2
    assert threading.active_count() == threads
