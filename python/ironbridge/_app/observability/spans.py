"""Spans of an application's own code. Without OpenTelemetry, or where nothing is traced, all of this does nothing."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type[Any])
Mapper = Callable[..., Mapping[str, Any]]

_NAME = "ironbridge.app"


def get_current_span() -> Any:
    """The span that runs now; `None` without OpenTelemetry."""
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    return trace.get_current_span()


def get_current_span_context() -> Any:
    """The ids of the span that runs now; `None` where there is none."""
    span = get_current_span()
    context = span.get_span_context() if span is not None else None
    return context if context is not None and context.is_valid else None


@contextmanager
def start_span(name: str, attributes: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """A span around a block, within the one that runs now. What the block raises is recorded.

    Args:
        name: what is done in it.
        attributes: what is told of it.
    """
    tracer = _tracer()
    if tracer is None:
        yield None
        return
    with tracer.start_as_current_span(name, attributes=attributes) as span:
        yield span


@contextmanager
def start_message_publish_span(*, topic: str, attributes: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """A span around code of your own that publishes, named and described as those of `use_publisher()`.

    Args:
        topic: what it publishes.
        attributes: more that is told of it.
    """
    tracer = _tracer()
    if tracer is None:
        yield None
        return
    from opentelemetry.trace import SpanKind

    told = {**publishing(topic), **(attributes or {})}
    with tracer.start_as_current_span(f"PUBLISH {topic}", kind=SpanKind.PRODUCER, attributes=told) as span:
        yield span


def publishing(topic: str) -> dict[str, Any]:
    """What spans tell of a message that is published."""
    return {"messaging.destination.name": topic, "messaging.operation.name": "publish"}


def spawn_trace(name: str, attributes: Mapping[str, Any] | None = None) -> AbstractContextManager[Any]:
    """`start_span`, as earlier versions call it."""
    warnings.warn("spawn_trace is now start_span", DeprecationWarning, stacklevel=2)
    return start_span(name, attributes)


def get_tracing_provider() -> Any:
    """The `OtelObservabilityProvider` of the application that runs now; `None` where nothing is observed."""
    from .root import provider

    return provider.get()


def add_event(name: str, attributes: Mapping[str, Any] | None = None) -> None:
    """Tells of something that happened in the span that runs now."""
    if (span := get_current_span()) is not None:
        span.add_event(name, attributes)


def set_span_attribute(name: str, value: Any) -> None:
    """Tells something of the span that runs now."""
    if (span := get_current_span()) is not None:
        span.set_attribute(name, value)


def set_span_status(status: Literal["OK", "ERROR", "UNSET"], description: str | None = None) -> None:
    """Tells how the span that runs now ends."""
    if (span := get_current_span()) is not None:
        from opentelemetry.trace import StatusCode

        span.set_status(StatusCode[status], description)


def record_exception(error: BaseException, attributes: Mapping[str, Any] | None = None) -> None:
    """Tells of an exception in the span that runs now."""
    if (span := get_current_span()) is not None:
        span.record_exception(error, attributes)


def add_span_link(context: Any, attributes: Mapping[str, Any] | None = None) -> None:
    """Links the span that runs now to another."""
    if (span := get_current_span()) is not None and context is not None:
        span.add_link(context, attributes)


class TracedFunc:
    """Has calls of a function be spans.

    Args:
        name: the span's; the function's unless given.
        trace_mapper: what is told of a call, of its arguments; nothing unless given: they may hold secrets.
    """

    def __init__(self, name: str | None = None, *, trace_mapper: Mapper | None = None) -> None:
        self._name, self._mapper = name, trace_mapper

    def __call__(self, function: F) -> F:
        name, mapper = self._name or function.__qualname__, self._mapper

        def told(*args: Any, **kwargs: Any) -> Mapping[str, Any] | None:
            return mapper(*args, **kwargs) if mapper is not None else None

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def traced(*args: Any, **kwargs: Any) -> Any:
                with start_span(name, told(*args, **kwargs)):
                    return await function(*args, **kwargs)

        else:

            @functools.wraps(function)
            def traced(*args: Any, **kwargs: Any) -> Any:
                with start_span(name, told(*args, **kwargs)):
                    return function(*args, **kwargs)

        return traced  # type: ignore[return-value]


class TracedClass:
    """Has calls of a class's methods be spans.

    Args:
        trace_name_prefix: before the methods' names; the class's name unless given.
        trace_mapper: as `TracedFunc`'s.
        include_private: whether those are traced whose names begin with `_`.
        exclude_methods: those that are not.
    """

    def __init__(
        self,
        trace_name_prefix: str | None = None,
        trace_mapper: Mapper | None = None,
        include_private: bool = False,
        exclude_methods: Collection[str] = (),
    ) -> None:
        self._prefix, self._mapper = trace_name_prefix, trace_mapper
        self._private, self._left_out = include_private, set(exclude_methods)

    def __call__(self, kind: C) -> C:
        prefix = self._prefix or kind.__name__
        for name, member in list(vars(kind).items()):
            is_private = name.startswith("_") and (name.startswith("__") or not self._private)
            if inspect.isfunction(member) and not is_private and name not in self._left_out:
                setattr(kind, name, TracedFunc(f"{prefix}.{name}", trace_mapper=self._mapper)(member))
        return kind


traced_class = TracedClass


def _tracer() -> Any:
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    return current_tracer() or trace.get_tracer(_NAME)


def current_tracer() -> Any:
    """The tracer of the application that runs now."""
    from .interceptor import tracers

    return tracers.get()
