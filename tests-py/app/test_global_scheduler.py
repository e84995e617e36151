"""The global scheduler: functions that are registered anywhere run together, each as a unit of work of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from harness import Program, wait_until
from ironbridge._app.core.lifecycle import running
from ironbridge._app.schedule.actions import Runner, actions_of
from ironbridge.app import (
    AIOSQAConfig,
    AIOSqlAlchemySessionInterceptor,
    AppConfigurationInterceptor,
    AppConfigValidationError,
    GlobalScheduler,
    GlobalSchedulerConfig,
    GlobalSchedulerConfigToken,
    GlobalSchedulerController,
    GlobalSchedulerRegistry,
    Microservice,
    ProviderSpec,
    SchedulerTransactionData,
    SetMetadata,
    get_metadata_value,
    use_app_context,
    use_session,
)
from sqlalchemy import text

from app.waiting import until

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Job = Callable[[], Awaitable[Any]]


@pytest.fixture
def register() -> Iterator[Callable[[Job], None]]:
    """Registers a function until the test's end."""
    ours: list[Job] = []

    def register(job: Job) -> None:
        ours.append(GlobalSchedulerRegistry.register(job))

    yield register
    for job in ours:
        GlobalSchedulerRegistry.unregister(job)
    assert GlobalSchedulerRegistry.get_registered_actions() == []


@asynccontextmanager
async def scheduler(most: int = 10, *interceptors: Any) -> AsyncIterator[Runner]:
    """An application's."""
    config = ProviderSpec(provide=GlobalSchedulerConfigToken, use_value=GlobalSchedulerConfig(MAX_CONCURRENT_JOBS=most))
    async with running(Microservice([config], [GlobalScheduler], list(interceptors)), "beat") as process:
        [action] = actions_of([GlobalScheduler])
        yield Runner(process, action)


async def test_all_run_so_many_at_once_and_the_run_ends_with_the_last(register: Any) -> None:
    begun: list[int] = []
    gates = [asyncio.Event() for _ in range(4)]

    def job(number: int) -> Job:
        async def run() -> None:
            begun.append(number)
            await gates[number].wait()

        return run

    for number in range(4):
        register(job(number))
    async with scheduler(2) as runner:
        run = asyncio.create_task(runner.run(NOON))
        await until(lambda: begun == [0, 1])
        gates[1].set()
        await until(lambda: begun == [0, 1, 2])
        await runner.run(NOON)  # passed over: the one before still runs
        assert begun == [0, 1, 2]
        for gate in gates:
            gate.set()
        await run
        assert begun == [0, 1, 2, 3]
        await runner.run(NOON)
    assert begun[4:] == [0, 1, 2, 3]


async def test_one_that_fails_is_told_and_undoes_its_own_work_alone(
    register: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def write(number: int) -> None:
        await use_session().execute(text(f"insert into done values ({number})"))

    async def before() -> None:
        await write(1)

    async def failing() -> None:
        await write(2)
        raise ValueError("the second")

    async def after() -> None:
        await write(3)

    database = AIOSqlAlchemySessionInterceptor(AIOSQAConfig(f"sqlite+aiosqlite:///{tmp_path / 'db'}"))
    for job in (before, failing, after):
        register(job)
    async with scheduler(1, database) as runner:
        async with database.engine.begin() as connection:
            await connection.execute(text("create table done (number integer)"))
        await runner.run(NOON)
        async with database.engine.connect() as connection:
            assert list(await connection.scalars(text("select number from done order by 1"))) == [1, 3]
    [told] = [one for one in caplog.records if one.levelname == "ERROR"]
    assert told.getMessage() == f"{__name__}.{failing.__qualname__} has failed"
    assert told.exc_info is not None and str(told.exc_info[1]) == "the second"


async def test_each_knows_what_it_is_and_when_it_was_due(register: Any) -> None:
    seen: list[tuple[Any, Any]] = []

    @SetMetadata("colour", "red")
    async def painted() -> None:
        seen.append((use_app_context(), get_metadata_value("colour", None)))

    async def plain() -> None:
        seen.append((use_app_context(), get_metadata_value("colour", None)))

    register(painted)
    register(plain)
    register(plain)  # once each time, all the same
    async with scheduler(1) as runner:
        await runner.run(NOON)
    (first, red), (second, none) = seen
    assert (red, none) == ("red", None)
    assert isinstance(first, SchedulerTransactionData) and isinstance(second, SchedulerTransactionData)
    assert first.task_name == f"{__name__}.{painted.__qualname__}" and first.scheduled_to == NOON
    assert second.task_name == f"{__name__}.{plain.__qualname__}"
    assert second.slot_wait_seconds >= first.slot_wait_seconds >= 0


async def test_functions_run_without_an_application_too(register: Any) -> None:
    seen: list[int] = []

    class Called:
        async def __call__(self) -> None:
            seen.append(1)

    register(Called())
    await GlobalSchedulerController(GlobalSchedulerConfig()).trigger_scheduled_actions()
    assert seen == [1]


async def test_a_run_that_is_cancelled_cancels_what_runs(register: Any) -> None:
    told: list[str] = []

    async def long() -> None:
        told.append("began")
        try:
            await asyncio.Event().wait()
        finally:
            told.append("ended")

    register(long)
    async with scheduler() as runner:
        run = asyncio.create_task(runner.run(NOON))
        await until(lambda: told == ["began"])
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
    assert told == ["began", "ended"]


@pytest.mark.parametrize(("value", "is_taken"), [("3", True), ("0", False), ("many", False)])
async def test_how_many_run_at_once_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str, is_taken: bool
) -> None:
    monkeypatch.setenv("MAX_CONCURRENT_JOBS", value)
    settings = AppConfigurationInterceptor([(GlobalSchedulerConfigToken, GlobalSchedulerConfig)])
    app = Microservice([], [GlobalScheduler], [settings])
    if is_taken:
        async with running(app, "beat") as process:
            assert process.container.get_by_token(GlobalSchedulerConfigToken).MAX_CONCURRENT_JOBS == 3
    else:
        with pytest.raises(AppConfigValidationError, match="MAX_CONCURRENT_JOBS: Input should be"):
            async with running(app, "beat"):
                pass


APP = """
import os
from ironbridge.app import Microservice
from ironbridge.app.helpers.global_scheduler.config import GlobalSchedulerConfigAnnotated
from ironbridge.app.helpers.global_scheduler.controller import GlobalSchedulerController
from ironbridge.app.helpers.global_scheduler.registry import GlobalSchedulerRegistry

@GlobalSchedulerRegistry.register
async def tidy():
    with open(os.environ["LOG"], "a") as log:
        log.write("tidied\\n")

app = Microservice(controllers=[GlobalSchedulerController])
"""


def test_its_times_are_an_environment_variable_s_and_any_scheduler_runs_it(tmp_path: Path) -> None:
    (tmp_path / "tidy.py").write_text(APP)
    log = tmp_path / "log"
    environment = {**os.environ, "LOG": str(log), "SCHEDULER_CRON": "* * * * * */1"}
    command = [sys.executable, "-m", "ironbridge.cli", "app", "scheduler", "tidy:app"]
    with Program(command, cwd=tmp_path, env=environment) as program:
        wait_until(lambda: log.exists() and log.read_text().count("tidied") >= 2, 20)
        program.interrupt()
        assert program.wait_exit(20) == 0


def test_the_original_s_names_for_it_are_ours_under_compat(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        APP.replace("ironbridge.app", "jararaca")
        + "from ironbridge import app as face\n"
        + "print(GlobalSchedulerController is face.GlobalScheduler, GlobalSchedulerRegistry is face.GlobalSchedulerRegistry)\n"
        + "from jararaca.helpers.global_scheduler.controller import SCHEDULER_CRON\nprint(SCHEDULER_CRON)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "SCHEDULER_CRON"}
    command = [sys.executable, "-m", "ironbridge.compat", "program.py"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment, timeout=30
    )
    assert done.stdout == "True True\n*/5 * * * *\n", done.stderr
