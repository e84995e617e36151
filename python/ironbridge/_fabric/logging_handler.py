"""Log records over the broker: kept until there is a connector, then sent from any thread, without waiting."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError, IronbridgeError, Overloaded, PayloadError

if TYPE_CHECKING:
    from .connector import AmqBrokerConnector

# What every record has; the rest of its attributes were given as `extra`.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LONGEST = 16_384
# All headers of a message fill one frame, which has 128 KiB at most brokers and less at some.
_LONGEST_EXTRA = 32_768
_LONGEST_NAME = 127
_MOST_INT, _MOST_FLOAT = 2**63, 3.4e38

_Told = tuple[str, str, dict[str, Any]]  # level, text, headers


class _Quiet(threading.local):
    """Of each thread."""

    now = False


_quiet = _Quiet()


@contextmanager
def unsent() -> Iterator[None]:
    """What is logged in this block, on this thread, does not leave by any handler of this kind."""
    before, _quiet.now = _quiet.now, True
    try:
        yield
    finally:
        _quiet.now = before


class AmqpHandler(logging.Handler):
    """Sends log records to the domain's log exchange.

    A record's body is the JSON of its text (or of what a formatter that was set makes of it); its headers say
    `level_name`, `service_id` and `service_type`, as those of the originals do, and `level`, `logger`, `file`, `line`,
    `function`, `process`, `thread`, `created`, `exception` and the `extra` fields.

    It never waits and never raises. Records are kept while there is no connector, or it is not open; while the
    broker is away the connector keeps them (`options={"log_records": …}`). In both cases the oldest give way to the
    newest, and a record says how many did.

    Args:
        level: the lowest level that is sent.
        capacity: records that are kept while there is no connector that is open.
        extra_fields: the `extra` fields to send; all when not given.
    """

    def __init__(
        self, level: int | str = logging.NOTSET, *, capacity: int = 10_000, extra_fields: Iterable[str] | None = None
    ) -> None:
        if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
            raise ConfigurationError(f"capacity is a number of records from 1 up, not {capacity!r}")
        super().__init__(level)
        self._fields = None if extra_fields is None else frozenset(extra_fields)
        self._kept: deque[_Told] = deque(maxlen=capacity)
        self._lost = 0
        self._connector: AmqBrokerConnector | None = None

    def bind_connector(self, connector: AmqBrokerConnector) -> None:
        """From now on records go by this connector; those that were kept go first."""
        self.acquire()
        try:
            self._connector = connector
            self._send_kept()
        finally:
            self.release()

    def emit(self, record: logging.LogRecord) -> None:
        """Hands a record on. Never waits, and never raises."""
        # What sending itself has to log does not come back here.
        if _quiet.now:
            return
        with unsent():
            try:
                self._keep((record.levelname, self._text(record), self._headers(record)))
                self._send_kept()
            except Exception:
                self.handleError(record)

    def _keep(self, told: _Told) -> None:
        if len(self._kept) == self._kept.maxlen:
            self._lost += 1
        self._kept.append(told)

    def _send_kept(self) -> None:
        """Sends what is kept, the oldest first, if there is somebody who takes it."""
        connector = self._connector
        if connector is None or not connector.is_open:
            return
        if self._lost:
            text = f"{self._lost} older log records were dropped while there was no connector that was open"
            headers = {"level": logging.WARNING, "logger": "ironbridge.fabric"}
            if not _sent(connector, ("WARNING", text, headers)):
                return
            self._lost = 0
        while self._kept:
            if not _sent(connector, self._kept[0]):
                return
            self._kept.popleft()

    def _text(self, record: logging.LogRecord) -> str:
        return self.format(record) if self.formatter is not None else record.getMessage()

    def _headers(self, record: logging.LogRecord) -> dict[str, Any]:
        headers: dict[str, Any] = {}
        room = _LONGEST_EXTRA
        for name, value in vars(record).items():
            if name not in _OWN and (self._fields is None or name in self._fields) and room > 0:
                field = _field(value, min(room, _LONGEST))
                headers[_cut(name, _LONGEST_NAME)] = field
                room -= len(name) + (len(field) if isinstance(field, str) else 8)
        headers.update(
            level=record.levelno,
            logger=_cut(record.name),
            file=_cut(record.pathname),
            line=record.lineno,
            function=record.funcName or "",
            process=record.process or 0,
            thread=_cut(record.threadName or ""),
            # As text, since a header's float is not exact enough for a time.
            created=f"{record.created:.6f}",
        )
        told = record.exc_text
        if record.exc_info and not told:
            told = (self.formatter or logging.Formatter()).formatException(record.exc_info)
        if told:
            headers["exception"] = _cut(told[-_LONGEST:])
        return headers


def _sent(connector: AmqBrokerConnector, told: _Told) -> bool:
    """Whether it needs to be kept no longer."""
    level, text, headers = told
    try:
        connector._native.log(level, text, headers)
    except (PayloadError, Overloaded):
        # Something in it is larger than a message may be, and stays so; or the connector has counted it as dropped.
        return True
    except IronbridgeError:
        return False
    return True


def _cut(text: object, longest: int = _LONGEST) -> str:
    """Text that a header can be: not too long, and without halves of surrogate pairs."""
    return str(text)[:longest].encode("utf-8", "backslashreplace")[: 2 * longest].decode("utf-8", "ignore")


def _field(value: object, longest: int) -> Any:
    """A field of the user's own: as it is where a header can be, else its `repr`."""
    fits = (
        value is None
        or isinstance(value, bool)
        or (isinstance(value, int) and -_MOST_INT <= value < _MOST_INT)
        # Neither infinity nor "not a number".
        or (isinstance(value, float) and abs(value) <= _MOST_FLOAT)
    )
    if fits:
        return value
    try:
        return _cut(value if isinstance(value, str) else repr(value), longest)
    except Exception:  # a broken __repr__ must not hide the record itself
        return f"<{type(value).__name__} whose repr() fails>"
