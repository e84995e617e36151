"""What makes a method an action that runs at its times."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from typing import Any, Literal

from ...errors import ConfigurationError
from ..environment import text
from ..reflect.decorators import StackableDecorator
from .times import Times, times_of

Missed = Literal["skip", "once", "all"]


class ScheduledAction(StackableDecorator):
    """Makes a method of a `MessageBusController`, or any controller, an action that runs at its times.

    Args:
        cron: when: five fields, or six with the seconds last (`"* * * * * */3"`: every third second); `@hourly` and
            its like.
        allow_overlap: whether it is started while the run before still goes on, in any process; otherwise that time
            is passed over.
        exclusive: whether each time is run by one process of all alone.
        timeout: seconds that it may run; then it is cancelled, and has failed.
        exception_handler: called with what it raised, in place of the log.
        name: for `beat --actions`.
        group: for `worker --groups`.
        channel_id: actions of one channel share its prefetch.
        every: seconds, or a `timedelta`, between two starts, in place of `cron`.
        at: the one time at which it runs, in place of `cron`.
        tz: the time zone of `cron` and `at`, or its name; `JARARACA_DEFAULT_TIMEZONE`, or UTC, unless given.
        missed: what becomes of times that passed while nothing ran: they are skipped, made up for once, or all.

    Raises:
        ConfigurationError: that is no time, or more than one way to say it.
    """

    def __init__(
        self,
        cron: str | None = None,
        allow_overlap: bool = False,
        exclusive: bool = True,
        timeout: float | None = None,
        exception_handler: Callable[[BaseException], Any] | None = None,
        name: str | None = None,
        group: str | None = None,
        channel_id: str | None = None,
        *,
        every: float | timedelta | None = None,
        at: datetime | None = None,
        tz: tzinfo | str | None = None,
        missed: Missed = "once",
    ) -> None:
        if missed not in ("skip", "once", "all"):
            raise ConfigurationError(f"missed={missed!r} is none of 'skip', 'once', 'all'")
        self.times: Times = times_of(cron, every, at, tz)
        self.cron, self.allow_overlap, self.exclusive = self.times.expression, allow_overlap, exclusive
        self.timeout, self.exception_handler, self.missed = timeout, exception_handler, missed
        self.name, self.channel_id = name, channel_id
        self.group = group or text("SCHEDULER_ACTION_GROUP") or "DEFAULT"

    def decorated(self, subject: Any) -> None:
        """Refuses what no action can be.

        Raises:
            ConfigurationError: it is not `async def`.
        """
        if not inspect.iscoroutinefunction(subject):
            raise ConfigurationError(f"{subject.__qualname__} is scheduled: write it as `async def`")
