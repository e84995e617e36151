"""Spans told of by an event, as Moleculer's `Event` exporter does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .exporters import Batches
from .span import Span


class EventExporter(Batches):
    """Emits spans, several at a time.

    Args:
        event_name: the event.
        broadcast: whether every service that listens hears it, not one of each group.
        groups: for these groups only.
        send_start_span, send_finish_span: whether spans that begin are told of, and those that have ended.
        span_converter: makes what is told of a span.
        interval, max_queue: see `Batches`.
    """

    def __init__(
        self,
        event_name: str = "$tracing.spans",
        broadcast: bool = False,
        groups: str | Sequence[str] | None = None,
        send_start_span: bool = False,
        send_finish_span: bool = True,
        span_converter: Callable[[Span], Any] | None = None,
        interval: float = 5,
        **more: Any,
    ) -> None:
        super().__init__(interval, **more)
        self._event, self._groups, self._is_broadcast = event_name, groups, broadcast
        self._starts, self._ends, self._converted = send_start_span, send_finish_span, span_converter

    def span_started(self, span: Span) -> None:
        if self._starts:
            self._take(span)

    def span_finished(self, span: Span) -> None:
        if self._ends:
            self._take(span)

    def _take(self, span: Span) -> None:
        # Who hears of spans would have spans of its own, for ever.
        if span.tags.get("eventName") != self._event:
            self.keep(span)

    async def send(self, spans: list[Span]) -> None:
        told = [self._converted(span) if self._converted is not None else span.told() for span in spans]
        tell = self.broker.broadcast if self._is_broadcast else self.broker.emit
        await tell(self._event, told, groups=self._groups)
