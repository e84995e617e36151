"""What every exporter of spans can do, and which there are; derive from `Exporter` for one of your own."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import BrokerOptionsError
from ..schema import snake

if TYPE_CHECKING:
    from .span import Span
    from .tracer import Tracer

_MOST_KEPT = 10_000
"""Spans that wait to be sent; older ones are left out then."""
_PATIENCE = 5.0
"""Seconds for the last of them."""


class Exporter:
    """Is told of spans that are sampled."""

    def init(self, tracer: Tracer) -> None:
        """Called once, with whose spans they are."""
        self.tracer = tracer
        self.broker = tracer.broker
        self.logger = tracer.logger

    async def start(self) -> None:
        """Called when the broker starts."""

    async def stop(self) -> None:
        """Called when the broker has stopped."""

    def span_started(self, span: Span) -> None:
        """A span has begun."""

    def span_finished(self, span: Span) -> None:
        """A span has ended."""

    def enter(self, span: Span) -> Callable[[], None] | None:
        """The code of a span runs from now on; gives what is to be called at its end."""
        return None

    def outgoing(self, carrier: dict[str, Any]) -> None:
        """A call or event goes to others: what is put into `carrier`, a dict of texts, goes with it."""


class Batches(Exporter, ABC):
    """Keeps spans, and sends them together now and then.

    Args:
        interval: seconds between two times; 0: each at once.
        max_queue: spans that are kept at most; older ones are left out then.

    Raises:
        BrokerOptionsError: an option is no number, or negative.
    """

    def __init__(self, interval: float = 5, max_queue: int = _MOST_KEPT) -> None:
        for name, value in (("interval", interval), ("max_queue", max_queue)):
            if not isinstance(value, int | float) or value < 0:
                raise BrokerOptionsError(f"tracing: {name}={value!r}; it is a number that is not negative")
        self._interval, self._most = float(interval), int(max_queue)
        self._kept: list[Span] = []
        self._left_out = 0
        self._woken, self._is_ending = asyncio.Event(), False
        self._sending: asyncio.Task[None] | None = None

    @abstractmethod
    async def send(self, spans: list[Span]) -> None:
        """Sends these.

        Raises:
            OSError: they could not be sent; that is logged.
        """

    async def start(self) -> None:
        """Begins to send now and then."""
        self._sending = asyncio.create_task(self._send_often())

    async def stop(self) -> None:
        """Sends what is left, for a few seconds at most."""
        if self._sending is None:
            return
        self._is_ending = True
        self._woken.set()
        _, late = await asyncio.wait([self._sending], timeout=_PATIENCE)
        if late:
            self.logger.warning("the last spans could not be sent within %g seconds", _PATIENCE)
            self._sending.cancel()
        self._sending = None

    def keep(self, span: Span) -> None:
        """Keeps a span until it is sent."""
        self._kept.append(span)
        if len(self._kept) > self._most:
            del self._kept[0]
            self._left_out += 1
        if not self._interval:
            self._woken.set()

    async def flush(self) -> None:
        """Sends all that is kept."""
        spans, self._kept = self._kept, []
        left_out, self._left_out = self._left_out, 0
        if left_out:
            self.logger.warning("%d spans were left out: more than %d waited to be sent", left_out, self._most)
        if not spans:
            return
        try:
            await self.send(spans)
        except OSError as error:
            self.logger.warning("%d spans could not be sent: %s", len(spans), error)
        except Exception:
            self.logger.exception("%d spans could not be sent", len(spans))

    async def _send_often(self) -> None:
        while not self._is_ending:
            try:
                async with asyncio.timeout(self._interval or None):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()
            await self.flush()


def exporter_of(given: Any) -> Exporter:
    """The exporter that an option tells of: a name, `{"type": name, "options": {…}}`, or one itself.

    Raises:
        BrokerOptionsError: there is no such exporter, or it has no such option.
    """
    from . import console, event, opentelemetry, otlp, zipkin

    known: dict[str, Callable[..., Exporter]] = {
        "console": console.ConsoleExporter,
        "event": event.EventExporter,
        "zipkin": zipkin.ZipkinExporter,
        "jaeger": otlp.JaegerExporter,
        "opentelemetry": opentelemetry.OpenTelemetryExporter,
    }
    if isinstance(given, Exporter):
        return given
    name = given.get("type") if isinstance(given, Mapping) else given
    kind = known.get(name.lower()) if isinstance(name, str) else None
    if kind is None:
        raise BrokerOptionsError(
            f"tracing: there is no exporter {name!r}; there are Console, Event, Zipkin, Jaeger and OpenTelemetry"
        )
    told = (given.get("options") or {}) if isinstance(given, Mapping) else {}
    try:
        return kind(**{snake(str(one)).lower(): value for one, value in told.items()})
    except TypeError as error:
        raise BrokerOptionsError(f"tracing: the exporter {name}: {error}") from error
