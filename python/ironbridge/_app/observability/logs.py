"""Log records with what they belong to: attributes of the unit of work, and its trace."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from .spans import get_current_span_context

_attributes: ContextVar[Mapping[str, Any]] = ContextVar("logger_attributes", default={})  # noqa: B039 - never changed


@contextmanager
def providing_logger_extra_attributes(**attributes: Any) -> Iterator[None]:
    """Has log records within have these attributes."""
    token = _attributes.set({**_attributes.get(), **attributes})
    try:
        yield
    finally:
        _attributes.reset(token)


def get_logger_extra_attributes() -> Mapping[str, Any]:
    """The attributes that log records have now."""
    return _attributes.get()


class ContextualLoggerExtraAttributesHandler(logging.Handler):
    """Gives records the attributes of where they are made, and `trace_id` and `span_id`, for the handlers after it.

    Args:
        inject_extra: more, asked for at each record.
        level: the least that is looked at.
    """

    def __init__(self, *, inject_extra: Callable[[], Mapping[str, Any]] | None = None, level: int = 0) -> None:
        super().__init__(level)
        self._more = inject_extra

    def emit(self, record: logging.LogRecord) -> None:
        """Adds to a record."""
        told = {**_attributes.get(), **(self._more() if self._more is not None else {}), **trace_ids()}
        for name, value in told.items():
            if name not in record.__dict__:
                setattr(record, name, value)


def trace_ids() -> dict[str, str]:
    """`trace_id` and `span_id` of what runs now, in hexadecimal."""
    context = get_current_span_context()
    if context is None:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


class OtelHandler(logging.Handler):
    """Gives records to a logger of OpenTelemetry's."""

    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Sends a record."""
        from opentelemetry import context
        from opentelemetry._logs import LogRecord, SeverityNumber

        if record.name.startswith("opentelemetry"):
            return  # what tells that records cannot be sent must not be sent
        attributes = {**_attributes.get(), "logger.name": record.name, "code.function.name": record.funcName}
        if record.exc_info and record.exc_info[1] is not None:
            attributes["exception.type"] = type(record.exc_info[1]).__name__
            attributes["exception.stacktrace"] = "".join(traceback.format_exception(record.exc_info[1]))
        level = min(max(record.levelno // 10 * 4 + 1, 1), 24)
        self._logger.emit(
            LogRecord(
                timestamp=int(record.created * 1e9),
                context=context.get_current(),
                severity_number=SeverityNumber(level),
                severity_text=record.levelname,
                body=record.getMessage(),
                attributes=attributes,
            )
        )
