"""The tracer: begins spans, decides which are kept, and tells the exporters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import BrokerOptionsError
from ..schema import snake
from .exporters import Exporter, exporter_of
from .sampling import Sampling
from .span import Span

_ERROR_FIELDS = ("name", "message", "code", "type", "data")
_OPTIONS = {
    *("enabled", "exporter", "exporters", "sampling", "actions", "events"),
    *("error_fields", "stack_trace", "default_tags", "tags"),
}
_OF_SPAN = {"id", "type", "trace_id", "parent_id", "service", "priority", "sampled", "tags", "parent_span"}


def tracer_of(option: Any, broker: Any) -> Tracer | None:
    """The tracer that a broker's `tracing` tells of; `None` when it is off.

    Raises:
        BrokerOptionsError: it is no such option; `ConfigurationError` when an exporter's package is missing.
    """
    if option is None or option is False:
        return None
    if option is not True and not isinstance(option, Mapping):
        raise BrokerOptionsError(f"tracing={option!r}: give True, or a dict with some of {', '.join(sorted(_OPTIONS))}")
    told = {} if option is True else {snake(str(name)): value for name, value in option.items()}
    return None if told.get("enabled") is False else Tracer(broker, told)


class Tracer:
    """Begins spans and tells the exporters of them.

    Args:
        broker: whose calls are traced.
        options: Moleculer's, in either spelling: `exporter` (or `exporters`: names, `{"type", "options"}`, or exporters
            themselves), `sampling`, `actions` (True), `events` (False), `error_fields`, `stack_trace` (False),
            `default_tags` (a dict, or a function of the tracer), `tags` (`{"action", "event"}`: what is shown of calls
            whose schemas do not say).

    Attributes:
        actions, events: whether these have spans.
        error_fields: what is told of errors.
        default_tags: tags of every span.
        tags: by default, of actions and of events.
        exporters: who is told.

    Raises:
        BrokerOptionsError: an option is wrong, or unknown.
    """

    def __init__(self, broker: Any, options: Mapping[str, Any]) -> None:
        unknown = set(options) - _OPTIONS
        if unknown:
            raise BrokerOptionsError(
                f"tracing: there is no option {', '.join(sorted(unknown))}; there are {', '.join(sorted(_OPTIONS))}"
            )
        self.broker = broker
        self.logger = broker.get_logger("tracer")
        self.actions: bool = bool(options.get("actions", True))
        self.events: bool = bool(options.get("events", False))
        self.sampling = Sampling(options.get("sampling"))
        fields = tuple(options.get("error_fields") or _ERROR_FIELDS)
        wants_stack = options.get("stack_trace") and "stack" not in fields
        self.error_fields: tuple[str, ...] = (*fields, "stack") if wants_stack else fields
        self.tags: Mapping[str, Any] = options.get("tags") or {}
        given = options.get("default_tags")
        self.default_tags: dict[str, Any] = dict((given(self) if callable(given) else given) or {})
        self.exporters: list[Exporter] = [
            exporter_of(one) for name in ("exporter", "exporters") for one in _listed(options.get(name))
        ]
        for exporter in self.exporters:
            exporter.init(self)

    def fresh_id(self) -> str:
        """An id for a span that has none."""
        return str(self.broker.generate_uid())

    async def start(self) -> None:
        """Called when the broker starts."""
        for exporter in self.exporters:
            await exporter.start()

    async def stop(self) -> None:
        """Called when the broker has stopped: what is still kept is sent."""
        for exporter in self.exporters:
            try:
                await exporter.stop()
            except Exception:
                self.logger.exception("%s could not be ended", type(exporter).__name__)

    def start_span(self, name: str, options: Mapping[str, Any] | None = None, ctx: Any = None) -> Span:
        """Begins a span.

        Args:
            name: what is done in it.
            options: `tags`, `parent_span`, `type` (`custom`), `priority` (5), `service`, `sampled`, `id`, `trace_id`,
                `parent_id`.
            ctx: the call that it belongs to: it is within the call's span, and is the call's until it ends.

        Raises:
            TypeError: there is no such option.
        """
        told = {snake(one): value for one, value in (options or {}).items()}
        if unknown := set(told) - _OF_SPAN:
            raise TypeError(f"a span has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(_OF_SPAN))}")
        span = Span(self, name, {**_inherited(told.get("parent_span"), ctx), **told}, ctx)
        if ctx is not None:
            ctx.span = span
        if span.sampled:
            self._tell("span_started", span)
        return span

    def finished(self, span: Span) -> None:
        """A span has ended."""
        if span.sampled:
            self._tell("span_finished", span)

    def enter(self, span: Span) -> Callable[[], None]:
        """A span is what runs here now; gives what ends that."""
        if not span.sampled:
            return _nothing
        leaves = [leave for one in self.exporters if (leave := one.enter(span)) is not None]
        if not leaves:
            return _nothing

        def leave_all() -> None:
            for leave in reversed(leaves):
                leave()

        return leave_all

    def _tell(self, what: str, span: Span) -> None:
        for exporter in self.exporters:
            try:
                getattr(exporter, what)(span)
            except Exception:
                # The call itself must not fail of it.
                self.logger.exception("%s could not take the span %r", type(exporter).__name__, span.name)


def _inherited(parent: Span | None, ctx: Any) -> dict[str, Any]:
    """What a span has of the one around it, or of its call."""
    around = parent if parent is not None else ctx.span if ctx is not None else None
    if around is not None:
        return {
            "trace_id": around.trace_id,
            "parent_id": around.id,
            "sampled": around.sampled,
            "service": around.service,
        }
    if ctx is None:
        return {}
    return {
        "trace_id": ctx.request_id,
        "parent_id": ctx.parent_id,
        "sampled": ctx.tracing,
        "service": ctx.service,
    }


def _listed(given: Any) -> list[Any]:
    if given is None or given is False:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]


def _nothing() -> None:
    return None
