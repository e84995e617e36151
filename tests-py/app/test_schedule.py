"""The schedule: actions at their times, in one process and once across many."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from harness import Redis
from ironbridge._app.core.lifecycle import running
from ironbridge._app.schedule.actions import Runner, actions_of
from ironbridge._app.schedule.ledger import ProcessLedger, RedisLedger
from ironbridge._app.schedule.scheduler import Scheduler, scheduling
from ironbridge._app.schedule.times import times_of
from ironbridge.app import (
    MessageBusController,
    Microservice,
    ProviderSpec,
    ScheduledAction,
    ScheduleDispatchData,
    use_app_context,
)
from ironbridge.errors import ConfigurationError

from app.bus_services import Seen
from app.waiting import until

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("*/5 * * * *", NOON + timedelta(minutes=5)),
        ("0 3 * * *", NOON + timedelta(hours=15)),
        ("* * * * * */3", NOON + timedelta(seconds=3)),
        ("@hourly", NOON + timedelta(hours=1)),
    ],
)
def test_seconds_come_last_in_a_cron_expression(cron: str, expected: datetime) -> None:
    assert times_of(cron, None, None, None).after(NOON) == expected


def test_times_are_those_of_their_time_zone() -> None:
    times = times_of("0 3 * * *", None, None, "America/Sao_Paulo")
    assert times.after(NOON) == datetime(2026, 3, 2, 3, 0, tzinfo=ZoneInfo("America/Sao_Paulo"))


def test_an_interval_and_one_time_are_times_too() -> None:
    assert times_of(None, 90, None, None).after(NOON) == NOON + timedelta(seconds=90)
    once = times_of(None, None, datetime(2026, 3, 1, 13, 0), None)
    assert (once.after(NOON), once.after(NOON + timedelta(hours=1))) == (NOON + timedelta(hours=1), None)


@pytest.mark.parametrize(
    "given",
    [
        {"cron": "every day"},
        {"cron": "* *"},
        {},
        {"cron": "* * * * *", "every": 3},
        {"every": 0},
        {"cron": "@daily", "tz": "Moon"},
    ],
)
def test_what_is_no_time_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        ScheduledAction(**given)


def controller(**given: Any) -> type[Any]:
    @MessageBusController()
    class Job:
        def __init__(self, seen: Seen) -> None:
            self.seen = seen

        @ScheduledAction(**given)
        async def run(self, data: ScheduleDispatchData) -> None:
            context: Any = use_app_context()
            assert data.timestamp == int(context.scheduled_to.timestamp())
            self.seen.add(("began", data.timestamp))
            if len(self.seen.all) == 1:
                await asyncio.sleep(0.25)
            self.seen.add(("ended", data.timestamp))

    return Job


async def begun(stack: AsyncExitStack, job: type[Any], seen: Seen, ledger: Any = None) -> None:
    process = await stack.enter_async_context(
        running(Microservice([ProviderSpec(provide=Seen, use_value=seen)], [job]), "beat")
    )
    runners = [Runner(process, one) for one in actions_of([job])]
    await stack.enter_async_context(scheduling(runners, ledger or ProcessLedger()))


async def test_an_action_runs_at_its_times_and_never_twice_at_once() -> None:
    seen = Seen()
    async with AsyncExitStack() as stack:
        await begun(stack, controller(every=0.1), seen)
        await seen.wait(6)
    kinds = [kind for kind, _ in seen.all]
    assert kinds[:6] == ["began", "ended"] * 3


async def test_runs_may_overlap_where_that_is_allowed() -> None:
    seen = Seen()
    async with AsyncExitStack() as stack:
        await begun(stack, controller(every=0.1, allow_overlap=True), seen)
        await seen.wait(3)
    assert [kind for kind, _ in seen.all[:2]] == ["began", "began"]


async def test_a_run_that_takes_too_long_is_ended_and_told() -> None:
    failures: list[BaseException] = []

    class Slow:
        @ScheduledAction(every=0.05, timeout=0.05, exception_handler=failures.append)
        async def run(self) -> None:
            await asyncio.sleep(60)

    async with AsyncExitStack() as stack:
        await begun(stack, Slow, Seen())
        await until(lambda: len(failures) >= 2)
    assert all(isinstance(one, TimeoutError) for one in failures)


async def test_a_fleet_runs_each_time_once(redis: Redis) -> None:
    url = f"redis://{redis.host}:{redis.port}/7"
    seen = Seen()
    job = controller(every=0.2, allow_overlap=True)
    async with AsyncExitStack() as stack:
        for _ in range(4):
            ledger = RedisLedger(url)
            stack.push_async_callback(ledger.close)
            await begun(stack, job, seen, ledger)
        await until(lambda: len([one for one in seen.all if one[0] == "began"]) >= 5)
    assert len([one for one in seen.all if one[0] == "began"]) <= 6


async def test_a_run_elsewhere_in_the_fleet_is_not_started_again_here(redis: Redis) -> None:
    one, other = (RedisLedger(f"redis://{redis.host}:{redis.port}/7") for _ in range(2))
    try:
        async with one.running("job") as here, other.running("job") as there:
            assert (here, there) == (True, False)
        async with other.running("job") as there:
            assert there
    finally:
        await one.close()
        await other.close()


@pytest.mark.parametrize(("missed", "expected"), [("skip", 0), ("once", 1), ("all", 3)])
async def test_times_that_passed_while_nothing_ran(missed: Any, expected: int) -> None:
    job = controller(cron="0 * * * *", missed=missed)
    scheduled = actions_of([job])[0]
    ledger, started = ProcessLedger(), list[datetime]()
    await ledger.take(scheduled.name, NOON)

    async def start(due: datetime) -> None:
        started.append(due)

    scheduler = Scheduler(ledger, lambda: NOON + timedelta(hours=3, minutes=30))
    keeping = asyncio.create_task(scheduler.keep(scheduled, start))
    for _ in range(20):
        await asyncio.sleep(0)
    keeping.cancel()
    assert started == [NOON + timedelta(hours=hour) for hour in (1, 2, 3)][3 - expected :]


async def test_an_action_that_never_ran_waits_for_its_time() -> None:
    job = controller(cron="0 3 * * *")
    started: list[datetime] = []

    async def start(due: datetime) -> None:
        started.append(due)

    keeping = asyncio.create_task(Scheduler(ProcessLedger(), lambda: NOON).keep(actions_of([job])[0], start))
    for _ in range(20):
        await asyncio.sleep(0)
    keeping.cancel()
    assert started == []
