"""The scheduled actions of an application, and running one of them."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..bus.broker import Queue
from ..core.contexts import AppTransactionContext, SchedulerTransactionData
from ..core.lifecycle import Running
from ..reflect.controllers import ControllerMemberReflect, member_of
from ..reflect.decorators import members
from .decorators import ScheduledAction

log = logging.getLogger("ironbridge.app.schedule")


@dataclass(frozen=True)
class ScheduleDispatchData:
    """What an action is given that takes something.

    Attributes:
        timestamp: seconds since 1970 for which it is due.
    """

    timestamp: int


@dataclass(frozen=True)
class Scheduled:
    """One action.

    Attributes:
        controller: its class.
        method: its name.
        action: its decorator.
        member: it, as its decorators tell of it.
    """

    controller: type[Any]
    method: str
    action: ScheduledAction
    member: ControllerMemberReflect

    @property
    def name(self) -> str:
        """`module.Class.method`: its queue, and its topic."""
        module = getattr(self.controller, "wire_module", self.controller.__module__)
        return f"{module}.{self.controller.__qualname__}.{self.method}"

    def queue(self) -> Queue:
        """Where its ticks wait for a worker."""
        return Queue(self.name, self.name, is_tick=True, prefetch=0)


def actions_of(
    controllers: Iterable[type[Any]], names: Collection[str] | None = None, groups: Collection[str] | None = None
) -> list[Scheduled]:
    """The scheduled actions of these controllers.

    Args:
        controllers: classes.
        names: those of these names alone.
        groups: those of these groups alone.
    """
    return [
        Scheduled(controller, method, action, member_of(controller, method))
        for controller in controllers
        for method, _ in members(controller)
        for action in ScheduledAction.get_all_from_method(controller, method)
        if (names is None or action.name in names) and (groups is None or action.group in groups)
    ]


class Runner:
    """Runs one action, each time within a unit of work of its own."""

    def __init__(self, process: Running, scheduled: Scheduled) -> None:
        self._process, self.scheduled = process, scheduled
        self._method = getattr(process.controllers[scheduled.controller], scheduled.method)
        self._takes_data = len(inspect.signature(self._method).parameters) > 0
        self._running = 0

    @property
    def is_running(self) -> bool:
        """Whether a run goes on in this process."""
        return self._running > 0

    async def run(self, due: datetime) -> None:
        """Runs it for a time; what it raises is told, and goes no further."""
        action = self.scheduled.action
        if self._running and not action.allow_overlap:
            log.info("%s still runs: its time %s is passed over", self.scheduled.name, due.isoformat())
            return
        self._running += 1
        data = SchedulerTransactionData(self.scheduled.name, datetime.now(UTC), due, action.cron)
        arguments = (ScheduleDispatchData(int(due.timestamp())),) if self._takes_data else ()
        try:
            async with self._process.unit_of_work(AppTransactionContext(data, self.scheduled.member)):
                async with asyncio.timeout(action.timeout):
                    await self._method(*arguments)
        except Exception as error:
            await self._tell(error)
        finally:
            self._running -= 1

    async def _tell(self, error: Exception) -> None:
        handle = self.scheduled.action.exception_handler
        if handle is None:
            log.error("%s has failed", self.scheduled.name, exc_info=error)
            return
        try:
            told = handle(error)
            if inspect.isawaitable(told):
                await told
        except Exception:
            log.exception("the exception handler of %s has failed", self.scheduled.name)
