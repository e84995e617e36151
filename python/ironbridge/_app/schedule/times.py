"""Times: when something is due next, by a cron expression, an interval, or once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ...errors import ConfigurationError
from .. import const


class Times(ABC):
    """When something is due.

    Attributes:
        expression: how it was said.
    """

    expression: str

    @abstractmethod
    def after(self, moment: datetime) -> datetime | None:
        """The first time after a moment; `None` when there is none any more."""

    def between(self, after: datetime, until: datetime, most: int) -> list[datetime]:
        """The times after one moment and until another, the last `most` of them."""
        found: list[datetime] = []
        due = self.after(after)
        while due is not None and due <= until:
            found.append(due)
            if len(found) > most:
                del found[0]
            due = self.after(due)
        return found


class CronTimes(Times):
    """Those of a cron expression, in a time zone."""

    def __init__(self, expression: str, zone: tzinfo) -> None:
        try:
            from croniter import croniter
        except ImportError as missing:
            raise ConfigurationError('schedules need the package croniter: pip install "ironbridge[app]"') from missing
        if not croniter.is_valid(expression):
            raise ConfigurationError(
                f"cron {expression!r}: five fields (minute hour day month weekday), or six with the seconds last"
            )
        self.expression, self._zone, self._croniter = expression, zone, croniter

    def after(self, moment: datetime) -> datetime | None:
        """The next one."""
        found: datetime = self._croniter(self.expression, moment.astimezone(self._zone)).get_next(datetime)
        return found.astimezone(UTC)


class IntervalTimes(Times):
    """Those of an interval, counted from 1970, so that all processes agree on them."""

    def __init__(self, every: timedelta) -> None:
        if every < timedelta(milliseconds=1):
            raise ConfigurationError(f"every={every!r}: an interval is a millisecond at least")
        self.expression, self._every = f"every {every.total_seconds():g} s", every

    def after(self, moment: datetime) -> datetime | None:
        """The next one."""
        began = datetime(1970, 1, 1, tzinfo=UTC)
        return began + ((moment - began) // self._every + 1) * self._every


class OneTime(Times):
    """One time."""

    def __init__(self, at: datetime, zone: tzinfo) -> None:
        self._at = (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
        self.expression = f"at {self._at.isoformat()}"

    def after(self, moment: datetime) -> datetime | None:
        """It, if it is yet to come."""
        return self._at if moment < self._at else None


def times_of(cron: str | None, every: float | timedelta | None, at: datetime | None, tz: tzinfo | str | None) -> Times:
    """The times that were said in one of three ways.

    Raises:
        ConfigurationError: none was given, or several, or it is no time.
    """
    if sum(one is not None for one in (cron, every, at)) != 1:
        raise ConfigurationError("give one of cron, every and at")
    if every is not None:
        return IntervalTimes(every if isinstance(every, timedelta) else timedelta(seconds=every))
    zone = _zone(tz)
    return OneTime(at, zone) if at is not None else CronTimes(str(cron), zone)


def _zone(given: Any) -> tzinfo:
    if isinstance(given, tzinfo):
        return given
    name = given or const.DEFAULT_TIMEZONE
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigurationError(f"{name!r} is no time zone that this machine knows") from None
