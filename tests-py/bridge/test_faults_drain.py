"""A daemon that is told to end under load: what runs is finished and answered, and nothing is left hanging."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ironbridge.bridge as meta
import pytest
from bridge.faulty import PATIENCE, Daemon, Load
from harness import wait_until
from ironbridge import _engine


@pytest.mark.parametrize("slow", ["sleep", "nap"])
def test_calls_that_run_are_finished_and_answered(slow: str) -> None:
    with Daemon(daemon={"threads": 8}) as daemon, ThreadPoolExecutor(8) as pool:
        client = daemon.connect()
        under_way = [pool.submit(client.call, slow, 0.5) for _ in range(8)]
        wait_until(lambda: client.stats()["in_flight"] >= 8)
        daemon.terminate()
        assert [one.result(PATIENCE) for one in under_way] == [0.5] * 8
        assert daemon.ended() == 0


def test_calls_that_wait_for_a_thread_are_finished_too() -> None:
    with Daemon(daemon={"threads": 2}) as daemon, ThreadPoolExecutor(8) as pool:
        client = daemon.connect()
        under_way = [pool.submit(client.sleep, 0.1) for _ in range(8)]
        wait_until(lambda: client.stats()["calls"] + client.stats()["in_flight"] + client.stats()["waiting"] >= 8)
        daemon.terminate()
        outcomes = [one.exception(PATIENCE) for one in under_way]
        # Whoever is not answered has not run.
        assert not any(error.may_have_run for error in outcomes if isinstance(error, meta.IronbridgeError)), outcomes
        assert all(error is None or isinstance(error, meta.IronbridgeError) for error in outcomes), outcomes
        assert outcomes.count(None) >= 2
        assert daemon.ended() == 0


def test_under_load_every_call_that_ran_was_answered(tmp_path: Path) -> None:
    with Daemon(environment={"FAULTS_MARKS": str(tmp_path)}) as daemon:
        load = Load(daemon.connect(), lambda client: client.mark(), threads=16)
        with load:
            wait_until(lambda: (tmp_path / "count").exists() and (tmp_path / "count").stat().st_size > 500)
            daemon.terminate()
            assert daemon.ended() == 0
            load.finish()
        assert load.outcomes.total() == load.begun
        assert (tmp_path / "count").stat().st_size == load.outcomes["result"], load.outcomes
        assert set(load.outcomes) <= {"result", "ConnectionLost", "ServiceNotFound", "ServiceUnavailable"}


def test_a_call_to_a_draining_service_is_told_so_and_has_not_run() -> None:
    with Daemon() as daemon, ThreadPoolExecutor(1) as pool:
        client = daemon.connect()
        under_way = pool.submit(client.sleep, 2.0)
        wait_until(lambda: client.stats()["in_flight"] >= 1)
        daemon.terminate()

        def refused() -> meta.IronbridgeError | None:
            try:
                client.echo("late")
            except meta.IronbridgeError as error:
                return error
            return None

        error = wait_until(refused)
        assert not under_way.done()
        assert isinstance(error, (meta.ServiceUnavailable, meta.ServiceNotFound)), error
        assert not error.may_have_run
        assert under_way.result(PATIENCE) == 2.0


def test_its_successor_serves_while_it_still_drains() -> None:
    with Daemon() as daemon, ThreadPoolExecutor(1) as pool:
        client = daemon.connect()
        old = client.pid()
        under_way = pool.submit(client.sleep, 4.0)
        wait_until(lambda: client.stats()["in_flight"] >= 1)
        daemon.terminate()
        wait_until(lambda: [lease["state"] for lease in _engine.leases(daemon.name)] == ["draining"])
        with Daemon(name=daemon.name) as successor:
            assert successor.pid != old
            # The same client finds it, though the old one still lives.
            assert client.pid() == successor.pid
            assert not under_way.done()
            assert under_way.result(PATIENCE) == 4.0


def test_a_call_that_does_not_end_is_told_when_the_grace_period_is_over() -> None:
    with Daemon(environment={"IRONBRIDGE_GRACE": "0.3"}) as daemon, ThreadPoolExecutor(2) as pool:
        client, watcher = daemon.connect(), daemon.connect()
        under_way = [pool.submit(client.call, hold, hold) for hold in ("hold", "hold_async")]
        wait_until(lambda: watcher.state("hold") == watcher.state("hold_async") == "held")
        daemon.terminate()
        errors = [one.exception(PATIENCE) for one in under_way]
        assert all(isinstance(error, meta.IronbridgeError) and error.may_have_run for error in errors), errors
        daemon.ended()
