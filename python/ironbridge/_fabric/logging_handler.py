"""Log records over the broker: kept until there is a connector, then sent from any thread, without waiting."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..errors import IronbridgeError

if TYPE_CHECKING:
    from .connector import AmqBrokerConnector

# What every record has; the rest of its attributes were given as `extra`.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LONGEST = 16_384
_SIMPLE = (bool, int, float, str, type(None))


class AmqpHandler(logging.Handler):
    """Sends log records to the domain's log exchange.

    A record's body is the JSON of its text (or of what a formatter that was set makes of it); its headers say
    `level_name`, `service_id` and `service_type`, as those of the originals do, and `level`, `logger`, `file`, `line`,
    `function`, `process`, `thread`, `created`, `exception` and the `extra` fields.

    Args:
        level: the lowest level that is sent.
        capacity: records that are kept until the handler is given to a connector; the oldest give way.
        extra_fields: the `extra` fields to send; all when not given.
    """

    def __init__(
        self, level: int | str = logging.NOTSET, *, capacity: int = 10_000, extra_fields: Iterable[str] | None = None
    ) -> None:
        super().__init__(level)
        self._fields = None if extra_fields is None else frozenset(extra_fields)
        self._kept: deque[tuple[str, str, dict[str, Any]]] = deque(maxlen=capacity)
        self._lost = 0
        self._connector: AmqBrokerConnector | None = None
        self._sending = threading.local()

    def bind_connector(self, connector: AmqBrokerConnector) -> None:
        """From now on records go by this connector; those that were kept go first."""
        with self.lock or threading.Lock():
            self._connector = connector
            kept, self._kept = self._kept, deque(maxlen=self._kept.maxlen)
            lost, self._lost = self._lost, 0
            for record in kept:
                self._send(connector, *record)
            if lost:
                text = f"{lost} older log records were dropped before there was a connector"
                self._send(connector, "WARNING", text, {"level": logging.WARNING, "logger": "ironbridge.fabric"})

    def emit(self, record: logging.LogRecord) -> None:
        """Hands a record on. Never waits, and never raises."""
        # What sending itself has to log does not come back here.
        if getattr(self._sending, "now", False):
            return
        self._sending.now = True
        try:
            told = (record.levelname, self._text(record), self._headers(record))
            if self._connector is not None:
                self._send(self._connector, *told)
                return
            if len(self._kept) == self._kept.maxlen:
                self._lost += 1
            self._kept.append(told)
        except Exception:
            self.handleError(record)
        finally:
            self._sending.now = False

    def _send(self, connector: AmqBrokerConnector, level: str, text: str, headers: dict[str, Any]) -> None:
        try:
            connector._native.log(level, text, headers)
        except IronbridgeError:
            # The connector is closed: there is nowhere to send it to.
            self._lost += 1

    def _text(self, record: logging.LogRecord) -> str:
        return self.format(record) if self.formatter is not None else record.getMessage()

    def _headers(self, record: logging.LogRecord) -> dict[str, Any]:
        headers: dict[str, Any] = {}
        for name, value in vars(record).items():
            if name not in _OWN and (self._fields is None or name in self._fields):
                headers[name[:255]] = _field(value)
        headers.update(
            level=record.levelno,
            logger=record.name,
            file=record.pathname,
            line=record.lineno,
            function=record.funcName or "",
            process=record.process or 0,
            thread=record.threadName or "",
            # As text, since a header's float is not exact enough for a time.
            created=f"{record.created:.6f}",
        )
        if record.exc_info:
            formatter = self.formatter or logging.Formatter()
            headers["exception"] = formatter.formatException(record.exc_info)[-_LONGEST:]
        elif record.exc_text:
            headers["exception"] = record.exc_text[-_LONGEST:]
        return headers


def _field(value: object) -> Any:
    """A field of the user's own: as it is where a header can be, else its `repr`."""
    if isinstance(value, str):
        return value[:_LONGEST]
    if isinstance(value, _SIMPLE) and not (isinstance(value, int) and not -(2**63) <= value < 2**63):
        return value
    return repr(value)[:_LONGEST]
