"""The span of the whole unit of work, whatever span of its own runs within it."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

root_span: ContextVar[Any] = ContextVar("root_span", default=None)
provider: ContextVar[Any] = ContextVar("tracing_provider", default=None)
"""The `OtelObservabilityProvider` of the application that runs now."""
flow: ContextVar[str | None] = ContextVar("flow", default=None)
"""The flow that a message of another trace belongs to."""


def get_root_span() -> Any:
    """The span of the request, message, websocket or scheduled run; `None` where nothing is observed."""
    return root_span.get()


def set_root_span_attribute(name: str, value: Any) -> None:
    """Tells something of it."""
    if (span := root_span.get()) is not None:
        span.set_attribute(name, value)


def set_root_span_attributes(attributes: Mapping[str, Any]) -> None:
    """Tells several things of it."""
    if (span := root_span.get()) is not None:
        span.set_attributes(dict(attributes))


def get_flow_id() -> str | None:
    """What all that follows from one request has in common, whatever traces it is: the id of the first, in hexadecimal."""
    span = root_span.get()
    if span is None:
        return None
    return flow.get() or f"{span.get_span_context().trace_id:032x}"
