"""The scheduler: starts each action when it is due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from ...errors import IronbridgeError
from .actions import Runner, Scheduled
from .ledger import Ledger

log = logging.getLogger("ironbridge.app.schedule")

_MOST_MISSED = 100
"""Times that are made up for at once, at most."""
_LONGEST_SLEEP = 60.0
_AGAIN = 1.0

Start = Callable[[datetime], Awaitable[None]]


class Scheduler:
    """Waits for each action's times.

    Args:
        ledger: what is known of times that were taken.
        now: the time, for tests.
    """

    def __init__(self, ledger: Ledger, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._ledger, self._now = ledger, now

    async def keep(self, scheduled: Scheduled, start: Start) -> None:
        """Calls `start` at each time of an action, until it has none any more, or this is cancelled."""
        moment = self._now()
        while True:
            try:
                last = await self._ledger.last(scheduled.name)
                for due in self._missed(scheduled, last, moment):
                    await self._begin(scheduled, due, start)
                break
            except IronbridgeError as error:
                log.error("%s: %s", scheduled.name, error)
                await asyncio.sleep(_AGAIN)
        while (next_due := scheduled.action.times.after(moment)) is not None:
            due = next_due
            await self._until(due)
            moment = due
            try:
                await self._begin(scheduled, due, start)
            except IronbridgeError as error:
                log.error("%s, due at %s: %s", scheduled.name, due.isoformat(), error)
            late = self._now()
            if late - due > timedelta(seconds=1) and scheduled.action.missed != "all":
                # The loop stood still: what was due meanwhile was missed.
                missed = self._missed(scheduled, due, late)
                moment = missed[-1] if missed else late
                for one in missed:
                    await self._begin(scheduled, one, start)

    async def _until(self, due: datetime) -> None:
        # In steps, since the clock may be set meanwhile.
        left = (due - self._now()).total_seconds()
        while left > 0:
            await asyncio.sleep(min(left, _LONGEST_SLEEP))
            left = (due - self._now()).total_seconds()

    def _missed(self, scheduled: Scheduled, last: datetime | None, until: datetime) -> list[datetime]:
        """What is made up for of the times since the last; of an action that never ran, nothing."""
        if last is None or scheduled.action.missed == "skip":
            return []
        most = 1 if scheduled.action.missed == "once" else _MOST_MISSED
        return scheduled.action.times.between(last, until, most)

    async def _begin(self, scheduled: Scheduled, due: datetime, start: Start) -> None:
        if not scheduled.action.exclusive or await self._ledger.take(scheduled.name, due):
            await start(due)


@asynccontextmanager
async def scheduling(runners: Sequence[Runner], ledger: Ledger, grace: float = 20.0) -> AsyncIterator[None]:
    """Runs actions of this process at their times, within; runs that go on at the end get `grace` seconds."""
    scheduler = Scheduler(ledger)
    runs: set[asyncio.Task[None]] = set()

    def starting(runner: Runner) -> Start:
        async def run(due: datetime) -> None:
            if runner.scheduled.action.allow_overlap:
                await runner.run(due)
                return
            async with ledger.running(runner.scheduled.name) as is_free:
                if is_free:
                    await runner.run(due)
                else:
                    log.info("%s still runs elsewhere: %s is passed over", runner.scheduled.name, due.isoformat())

        async def start(due: datetime) -> None:
            task = asyncio.create_task(run(due))
            runs.add(task)
            task.add_done_callback(runs.discard)

        return start

    keeping = [asyncio.create_task(scheduler.keep(one.scheduled, starting(one))) for one in runners]
    try:
        yield
    finally:
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
        if runs:
            await asyncio.wait(list(runs), timeout=grace)
        for task in list(runs):
            task.cancel()
        await asyncio.gather(*list(runs), return_exceptions=True)
