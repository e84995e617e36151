"""asyncio callers of a daemon that is killed, stopped or told to end: every call ends, and the loop is never held."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import ironbridge.bridge as meta
import pytest
from bridge.faulty import PATIENCE, Daemon
from harness import lenient, wait_until


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(environment={"FAULTS_MARKS": str(tmp_path)}) as running:
        yield running


@asynccontextmanager
async def loop_stays_free(gap: float = 0.25) -> AsyncIterator[None]:
    """Fails when the loop could not run its callbacks for longer than `gap` seconds."""
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        while True:
            begun = time.monotonic()
            await asyncio.sleep(0.005)
            longest = max(longest, time.monotonic() - begun)

    beating = asyncio.ensure_future(beat())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        beating.cancel()
    assert longest < lenient(gap)


async def _until(predicate: Callable[[], object]) -> None:
    await asyncio.to_thread(wait_until, predicate)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "drained"])
async def test_under_load_every_call_ends_and_the_counts_add_up(
    daemon: Daemon, tmp_path: Path, number: signal.Signals
) -> None:
    marks, begun, outcomes, may_have_run = tmp_path / "count", 0, Counter[str](), 0
    async with meta.connect_async(daemon.name) as client:

        async def work() -> None:
            nonlocal begun, may_have_run
            while True:
                begun += 1
                try:
                    await client.mark()
                    outcomes["result"] += 1
                except meta.IronbridgeError as error:
                    outcomes[type(error).__name__] += 1
                    may_have_run += error.may_have_run
                    return

        working = [asyncio.ensure_future(work()) for _ in range(200)]
        await _until(lambda: marks.exists() and marks.stat().st_size > 500)
        os.kill(daemon.pid, number)
        async with asyncio.timeout(PATIENCE), loop_stays_free():
            await asyncio.gather(*working)
        await asyncio.to_thread(daemon.ended)
    ran = marks.stat().st_size
    assert outcomes.total() == begun
    assert outcomes["result"] <= ran <= outcomes["result"] + may_have_run, (ran, outcomes, may_have_run)
    assert set(outcomes) <= {"result", "ConnectionLost", "ServiceNotFound", "ServiceUnavailable"}, outcomes
    if number == signal.SIGTERM:
        assert ran == outcomes["result"], outcomes


@pytest.mark.parametrize("hold", ["hold", "hold_async"])
async def test_a_call_under_way_ends_at_once_when_its_daemon_is_killed(daemon: Daemon, hold: str) -> None:
    watcher = daemon.connect()
    async with meta.connect_async(daemon.name) as client:
        under_way = asyncio.ensure_future(client.call(hold, "it"))
        await _until(lambda: watcher.state("it") == "held")
        begun = time.monotonic()
        os.kill(daemon.pid, signal.SIGKILL)
        with pytest.raises(meta.ConnectionLost) as caught:
            await under_way
        assert time.monotonic() - begun < lenient(2.0)
        assert (caught.value.fate, caught.value.may_have_run) == ("outcome unknown", True)


async def test_a_frozen_daemon_ends_calls_by_their_deadline_and_never_holds_the_loop(daemon: Daemon) -> None:
    async with meta.connect_async(daemon.name) as client:
        assert await client.nap(0.0) == 0.0
        await asyncio.to_thread(daemon.freeze)
        impatient = client.with_options(timeout=0.3)
        begun = time.monotonic()
        async with loop_stays_free():
            calls = [impatient.echo(number) for number in range(100)] + [impatient.nap(0.0) for _ in range(100)]
            ended = await asyncio.gather(*calls, return_exceptions=True)
        assert time.monotonic() - begun < lenient(1.5)
        assert all(isinstance(error, meta.DeadlineExceeded) for error in ended), ended
        daemon.thaw()
        assert await client.with_options(timeout=PATIENCE).echo("back") == "back"


async def test_a_daemon_that_stops_before_it_greets_ends_calls_by_their_deadline(daemon: Daemon) -> None:
    async with meta.connect_async(daemon.name) as client:
        assert await client.echo(1) == 1
        await asyncio.to_thread(daemon.kill)
        await asyncio.to_thread(daemon.start)
        await asyncio.to_thread(daemon.freeze)
        async with loop_stays_free():
            with pytest.raises(meta.DeadlineExceeded) as caught:
                await client.with_options(timeout=0.3).echo("never sent")
        assert not caught.value.may_have_run
        daemon.thaw()
        assert await client.echo("back") == "back"


async def test_calls_and_batches_find_the_daemon_that_took_its_place(daemon: Daemon) -> None:
    async with meta.connect_async(daemon.name) as client:
        before = await client.pid()
        for _ in range(3):
            await asyncio.to_thread(daemon.kill)
            await asyncio.to_thread(daemon.start)
            assert await client.pid() == daemon.pid != before
            assert await client.nap(0.0) == 0.0
            async with client.batch() as batch:
                pids = [batch.pid() for _ in range(5)]
            assert {pid.result() for pid in pids} == {daemon.pid}


async def test_an_idempotent_call_is_made_again_to_the_daemon_that_took_its_place(daemon: Daemon) -> None:
    watcher = daemon.connect()
    async with meta.connect_async(daemon.name) as client:
        under_way = asyncio.ensure_future(client.with_options(idempotent=True).nap(1.0))
        await _until(lambda: any(row["in_flight"] for row in watcher.stats()["endpoints"] if row["name"] == "nap"))
        await asyncio.to_thread(daemon.kill)
        # Nobody serves for a moment: then it fails, and has perhaps run.
        await asyncio.to_thread(daemon.start)
        try:
            async with asyncio.timeout(PATIENCE):
                assert await under_way == 1.0
        except (meta.ServiceNotFound, meta.ServiceUnavailable) as error:
            unanswered = error
            assert unanswered.may_have_run


async def test_what_is_cancelled_here_is_cancelled_there(daemon: Daemon) -> None:
    watcher = daemon.connect()
    before = watcher.stats()["in_flight"]
    async with meta.connect_async(daemon.name) as client:
        calls = [asyncio.ensure_future(client.nap(60.0)) for _ in range(100)]
        await _until(lambda: watcher.stats()["in_flight"] >= before + 100)
        for call in calls:
            call.cancel()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(error, asyncio.CancelledError) for error in ended)
        await _until(lambda: watcher.stats()["in_flight"] == before)
        assert await client.echo("after") == "after"
