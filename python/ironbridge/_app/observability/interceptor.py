"""A span, and figures, of each unit of work: requests, messages, websockets, scheduled runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from .. import const
from ..bus.disposing import MessageDisposed
from ..core.container import Container
from ..core.contexts import AppTransactionContext, HttpTransactionData, MessageBusTransactionData
from ..core.microservice import Microservice
from .carrying import carrying
from .describing import Described, described
from .flows import flow_in, with_flow
from .inbound import RESPONSE_TRACE
from .provider import OtelObservabilityProvider
from .root import flow, get_flow_id, provider, root_span
from .spans import publishing

if TYPE_CHECKING:
    from opentelemetry.trace import Link, Span, Tracer

tracers: ContextVar[Tracer | None] = ContextVar("tracer", default=None)
"""The tracer of the application that runs now."""


class ObservabilityInterceptor:
    """Has each unit of work be a span, which goes on in the trace that its request or message belongs to. Put it first:
    then commits, and what is published after them, are within it.

    Args:
        provider: where it all goes.
        capture_headers: request headers that spans show; of sensitive ones only that they were there.
    """

    def __init__(self, provider: OtelObservabilityProvider, *, capture_headers: Collection[str] = ()) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self.provider = provider
        self._shown = frozenset(name.lower() for name in capture_headers)
        self._propagator = TraceContextTextMapPropagator()
        self._tracer = provider.tracer_provider.get_tracer("ironbridge.app")
        meter = provider.meter_provider.get_meter("ironbridge.app")
        self._durations = {
            "http": meter.create_histogram("http.server.request.duration", "s", "Duration of HTTP server requests"),
            "message_bus": meter.create_histogram(
                "messagebus.messages.processing_time", "s", "Duration of handling messages"
            ),
            "scheduler": meter.create_histogram("scheduler.runs.duration", "s", "Duration of scheduled runs"),
        }
        self._sent = meter.create_counter("messagebus.messages.sent", description="Messages published")
        self._processed = meter.create_counter("messagebus.messages.processed", description="Messages handled")
        self._failed = meter.create_counter("messagebus.messages.failed", description="Messages whose handler failed")
        self._inflight = meter.create_up_down_counter(
            "messagebus.messages.inflight", description="Messages that are handled"
        )
        self._sockets = meter.create_up_down_counter("websocket.connections", description="Websockets that are open")

    @asynccontextmanager
    async def lifecycle(self, app: Microservice, container: Container) -> AsyncIterator[None]:
        """Begins, and at the end sends what is left."""
        self.provider.start()
        try:
            yield
        finally:
            await asyncio.to_thread(self.provider.stop)

    @asynccontextmanager
    async def intercept(self, app_context: AppTransactionContext) -> AsyncIterator[None]:
        """One unit of work."""
        from opentelemetry.trace import Status, StatusCode

        about = described(app_context, self._shown)
        parent, links = self._origin(about, app_context.transaction_data)
        begun, error = time.perf_counter(), None
        self._count(about, 1)
        tokens = tracers.set(self._tracer), carrying.set(self._carry), provider.set(self.provider)
        flowing = flow.set(flow_in(about.carrier))
        try:
            with self._tracer.start_as_current_span(
                about.name,
                parent,
                about.kind,
                about.attributes,
                links,
                record_exception=False,
                set_status_on_exception=False,
            ) as span:
                root = root_span.set(span)
                self._tell(app_context.transaction_data, span)
                try:
                    yield
                except MessageDisposed as said:
                    span.set_attribute("messaging.disposition", said.disposition)
                    raise
                except BaseException as raised:
                    error = raised
                    span.record_exception(raised)
                    if about.is_failure(raised):
                        span.set_status(Status(StatusCode.ERROR, f"{type(raised).__name__}: {raised}"))
                    raise
                finally:
                    outcome = about.outcome(error)
                    span.set_attributes(outcome)
                    self._measure(about, time.perf_counter() - begun, error, outcome)
                    root_span.reset(root)
        finally:
            flow.reset(flowing)
            provider.reset(tokens[2])
            carrying.reset(tokens[1])
            tracers.reset(tokens[0])
            self._count(about, -1)

    def _origin(self, about: Described, data: Any) -> tuple[Any, list[Link]]:
        """The context that a unit of work goes on in, and what it is linked to.

        What a message sets off may take hours, and fan out: it is a trace of its own, linked to its publisher's, unless
        its class says that it is a part of that.
        """
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, get_current_span

        if about.type != "message_bus":
            return (self._propagator.extract(about.carrier) if about.carrier else None), []
        # In process, the publisher's span runs here still; what a message belongs to, it says itself.
        parent = self._propagator.extract(about.carrier, Context())
        if _boundary(data) == "child":
            return parent, []
        publisher = get_current_span(parent).get_span_context()
        return Context(), [Link(publisher)] if publisher.is_valid else []

    def _tell(self, data: Any, span: Span) -> None:
        """Leaves a request's trace where its answer's headers are made."""
        if isinstance(data, HttpTransactionData):
            from opentelemetry.trace import set_span_in_context

            carrier: dict[str, str] = {}
            self._propagator.inject(carrier, set_span_in_context(span))
            data.request.scope.setdefault("state", {})[RESPONSE_TRACE] = carrier.get("traceparent")

    def _count(self, about: Described, change: int) -> None:
        if about.type == "message_bus":
            self._inflight.add(change, about.labels)
        elif about.type == "websocket":
            self._sockets.add(change, about.labels)

    def _measure(
        self, about: Described, seconds: float, error: BaseException | None, outcome: Mapping[str, Any]
    ) -> None:
        if (histogram := self._durations.get(about.type)) is not None:
            kind = {"error.type": type(error).__name__} if error is not None else {}
            histogram.record(seconds, {**about.labels, **outcome, **kind})
        if about.type == "message_bus":
            (self._failed if error is not None else self._processed).add(1, about.labels)

    def _carry(self, topic: str, headers: dict[str, Any]) -> None:
        """A message is published: a span of its own, which its handler's is linked to, or within."""
        from opentelemetry.trace import SpanKind, set_span_in_context

        if const.OBSERVABILITY_TRACE_PUBLISH_SPAN:
            kind, told = SpanKind.PRODUCER, publishing(topic)
            span: Span = self._tracer.start_span(f"PUBLISH {topic}", kind=kind, attributes=told)
            self._propagator.inject(headers, set_span_in_context(span))
            span.end()
        else:
            self._propagator.inject(headers)
        if (flow_id := get_flow_id()) is not None:
            headers["baggage"] = with_flow(headers.get("baggage"), flow_id)
        self._sent.add(1, {"messaging.destination.name": topic})


def _boundary(data: MessageBusTransactionData) -> str:
    """Whether a message's trace is linked to its publisher's, or a part of it: what its class says, or the process."""
    said: str = getattr(data.message_type, "TRACE_BOUNDARY", "default")
    if said != "default":
        return said
    is_first = data.processing_attempt <= 1
    return const.OBSERVABILITY_TRACE_ASYNC_BOUNDARY if is_first else const.OBSERVABILITY_TRACE_ASYNC_BOUNDARY_ON_RETRY
