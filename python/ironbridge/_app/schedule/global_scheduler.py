"""One scheduled action for functions of anywhere: a library registers its own, and needs no controller for it."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, Field

from .. import const
from ..core.contexts import AppTransactionContext, SchedulerTransactionData, current_context
from ..core.lifecycle import Running
from ..core.providing import Token
from ..reflect.controllers import ControllerMemberReflect, ControllerReflect
from ..reflect.metadata import SetMetadata, TransactionMetadata
from .decorators import ScheduledAction

log = logging.getLogger("ironbridge.app.schedule")

Job = Callable[[], Awaitable[Any]]
F = TypeVar("F", bound=Job)

SCHEDULER_CRON = os.environ.get("SCHEDULER_CRON") or "*/5 * * * *"
"""When the registered functions run."""


class GlobalSchedulerConfig(BaseModel):
    """How they run. Provide it under `GlobalSchedulerConfigToken`, or have it read from the environment by
    `AppConfigurationInterceptor([(GlobalSchedulerConfigToken, GlobalSchedulerConfig)])`.

    Attributes:
        MAX_CONCURRENT_JOBS: how many run at once.
    """

    MAX_CONCURRENT_JOBS: Annotated[int, Field(ge=1)] = const.SCHEDULER_MAX_CONCURRENT_JOBS


GlobalSchedulerConfigToken = Token(GlobalSchedulerConfig, "GlobalSchedulerConfig")
GlobalSchedulerConfigAnnotated = Annotated[GlobalSchedulerConfig, GlobalSchedulerConfigToken]


class GlobalSchedulerRegistry:
    """The functions, one list for the whole process."""

    _jobs: ClassVar[list[Job]] = []

    @classmethod
    def register(cls, fn: F) -> F:
        """Has a function run with the others; once each time, however often it is registered. A decorator, too.

        Args:
            fn: takes nothing, and gives what is awaited.
        """
        if fn not in cls._jobs:
            cls._jobs.append(fn)
        return fn

    @classmethod
    def unregister(cls, fn: Job) -> None:
        """Has it run no more; nothing happens if it was not there."""
        if fn in cls._jobs:
            cls._jobs.remove(fn)

    @classmethod
    def get_registered_actions(cls) -> list[Job]:
        """The functions, in the order in which they came."""
        return list(cls._jobs)


class GlobalSchedulerController:
    """Runs the functions of `GlobalSchedulerRegistry` at the times of `SCHEDULER_CRON`, an environment variable; every
    five minutes unless it is set. It is one of an application's `controllers`.

    Each function is a unit of work of its own, so that one that fails, which the log tells, undoes its own work alone.
    The next time is passed over while some of them still run.
    """

    wire_module = "jararaca.helpers.global_scheduler.controller"
    """Its module in the original, after which its queue is named: processes of either make share its ticks."""

    def __init__(self, config: GlobalSchedulerConfigAnnotated, process: Running | None = None) -> None:
        self._most, self._process = config.MAX_CONCURRENT_JOBS, process

    @ScheduledAction(SCHEDULER_CRON)
    async def trigger_scheduled_actions(self) -> None:
        """Runs them all, and returns when the last has ended."""
        places, begun = asyncio.Semaphore(self._most), time.monotonic()

        async def run(job: Job) -> None:
            async with places:
                try:
                    async with self._unit_of_work(job, time.monotonic() - begun):
                        await job()
                except Exception:
                    log.exception("%s has failed", _name(job))

        async with asyncio.TaskGroup() as running:
            for job in GlobalSchedulerRegistry.get_registered_actions():
                running.create_task(run(job))

    def _unit_of_work(self, job: Job, waited: float) -> AbstractAsyncContextManager[None]:
        if self._process is None:
            return nullcontext()
        now, around = datetime.now(UTC), current_context.get(None)
        tick = around.transaction_data if around is not None else None
        due = tick.scheduled_to if isinstance(tick, SchedulerTransactionData) else now
        data = SchedulerTransactionData(_name(job), now, due, SCHEDULER_CRON, waited)
        told = {
            one.key: TransactionMetadata(one.value, inherited_from_controller=False) for one in SetMetadata.get(job)
        }
        member = ControllerMemberReflect(ControllerReflect(type(self)), job, told)
        return self._process.unit_of_work(AppTransactionContext(data, member))


GlobalScheduler = GlobalSchedulerController


def _name(job: Job) -> str:
    """`module.function`; of what has no name, its type's."""
    named: Any = job if hasattr(job, "__qualname__") else type(job)
    return f"{named.__module__}.{named.__qualname__}"
