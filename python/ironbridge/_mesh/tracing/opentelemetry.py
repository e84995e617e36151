"""Spans as OpenTelemetry's own, active while their code runs, and carried between nodes as W3C `traceparent`.

The format of `traceparent` is https://www.w3.org/TR/trace-context/. It travels in a call's meta (protocol 4) or headers
(protocol 5), beside Moleculer's own ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ...errors import ConfigurationError
from .exporters import Exporter
from .ids import span_id, trace_id
from .span import Span
from .tags import flat, plain

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer as OtelTracer

_KEPT = "opentelemetry"
_FIELDS = ("traceparent", "tracestate")
_trace: ContextVar[str | None] = ContextVar("ironbridge_mesh_trace", default=None)
"""The trace of the span that is being made, when it is the first of it."""


class OpenTelemetryExporter(Exporter):
    """Makes a span of OpenTelemetry for each: other instrumentation within handlers finds it as the current one.

    A call that comes with a `traceparent` continues that trace. Without one, the trace's id is made of Moleculer's
    request id, in the same way at all nodes.

    Args:
        tracer_provider: makes the spans; the one that the program has set unless given.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """

    def __init__(self, tracer_provider: Any = None) -> None:
        try:
            from opentelemetry import trace
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            raise ConfigurationError(
                "the exporter OpenTelemetry needs its packages: pip install opentelemetry-api opentelemetry-sdk"
            ) from error
        self._provider, self._trace = tracer_provider, trace
        self._carried = TraceContextTextMapPropagator()
        self._tracer: Any = None

    @property
    def _makes(self) -> OtelTracer:
        if self._tracer is None:
            # Programs often set theirs up after the broker is made.
            provider = self._provider if self._provider is not None else self._trace.get_tracer_provider()
            made: Any = provider.get_tracer("ironbridge.mesh")
            ids = getattr(made, "id_generator", None)
            if ids is not None and not isinstance(ids, _Ids):
                made.id_generator = _Ids(ids)
            self._tracer = made
        tracer: OtelTracer = self._tracer
        return tracer

    def span_started(self, span: Span) -> None:
        token = _trace.set(span.trace_id)
        try:
            span.meta[_KEPT] = self._makes.start_span(
                span.name,
                context=self._around(span),
                kind=self._kind(span),
                start_time=_nanoseconds(span.start_time),
            )
        finally:
            _trace.reset(token)

    def span_finished(self, span: Span) -> None:
        made = span.meta.pop(_KEPT, None)
        if made is None or span.finish_time is None:
            return
        made.set_attributes(_attributes(self._tags(span)))
        for one in span.logs:
            made.add_event(one["name"], _attributes(one["fields"]), timestamp=_nanoseconds(one["time"]))
        if span.error is not None:
            if isinstance(span.error, BaseException):
                made.record_exception(span.error)
            made.set_status(self._trace.StatusCode.ERROR, str(span.error))
        made.end(end_time=_nanoseconds(span.finish_time))

    def enter(self, span: Span) -> Callable[[], None] | None:
        made = span.meta.get(_KEPT)
        if made is None:
            return None
        from opentelemetry import context

        token = context.attach(self._trace.set_span_in_context(made))
        return lambda: context.detach(token)

    def outgoing(self, carrier: dict[str, Any]) -> None:
        self._carried.inject(carrier)

    def _around(self, span: Span) -> Context | None:
        """What the span is within: `None` is whatever runs here now."""
        around = span.around.meta.get(_KEPT) if span.around is not None else None
        if around is not None:
            return self._trace.set_span_in_context(around)
        ctx = span.context
        is_remote = ctx is not None and ctx.node_id != self.broker.node_id
        if not is_remote and self._trace.get_current_span().get_span_context().is_valid:
            return None
        from opentelemetry.context import Context

        # Not what runs here, be it the program's own start: the call has come from elsewhere.
        nothing = Context()
        if ctx is None:
            return nothing
        carrier = {**_texts(ctx.meta), **_texts(ctx.headers)}
        found = self._carried.extract(carrier, nothing) if carrier else nothing
        if self._trace.get_current_span(found).get_span_context().is_valid or span.parent_id is None:
            return found
        known = self._trace.SpanContext(
            trace_id=int(trace_id(span.trace_id), 16),
            span_id=int(span_id(span.parent_id), 16),
            is_remote=True,
            trace_flags=self._trace.TraceFlags(self._trace.TraceFlags.SAMPLED),
        )
        return self._trace.set_span_in_context(self._trace.NonRecordingSpan(known), nothing)

    def _kind(self, span: Span) -> Any:
        kinds = self._trace.SpanKind
        if span.type in ("event", "channel"):
            return kinds.CONSUMER
        ctx = span.context
        is_remote = span.type == "action" and ctx is not None and ctx.node_id != self.broker.node_id
        return kinds.SERVER if is_remote else kinds.INTERNAL

    def _tags(self, span: Span) -> dict[str, Any]:
        own = {"moleculer.span.id": span.id, "moleculer.trace.id": span.trace_id, "moleculer.span.type": span.type}
        service = {"moleculer.service": span.service["fullName"]} if span.service else {}
        return {**own, **service, **span.tags}


class _Ids:
    """The generator of ids that the provider has, but for traces that begin here: those are Moleculer's."""

    def __init__(self, usual: Any) -> None:
        self._usual = usual

    def generate_trace_id(self) -> int:
        known = _trace.get()
        return int(trace_id(known), 16) if known is not None else int(self._usual.generate_trace_id())

    def generate_span_id(self) -> int:
        return int(self._usual.generate_span_id())

    def is_trace_id_random(self) -> bool:
        return False


def _texts(given: Mapping[str, Any] | None) -> dict[str, str]:
    """What is carried; it comes from other nodes, and may be anything."""
    return {name: value for name in _FIELDS if isinstance(value := (given or {}).get(name), str)}


def _attributes(tags: Mapping[str, Any]) -> dict[str, Any]:
    return flat(plain(tags))


def _nanoseconds(time: float) -> int:
    return int(time * 1_000_000)
