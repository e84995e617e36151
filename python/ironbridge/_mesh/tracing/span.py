"""Spans: what one node did for one request, from its begin to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

from .tags import of_error, plain

if TYPE_CHECKING:
    from .tracer import Tracer

USUAL_PRIORITY = 5


class Span:
    """A span. It ends by `finish()`, or as a context manager, of either kind, which also notes what is raised:

        with ctx.start_span("look it up", tags={"table": "users"}) as span:
            span.add_tags({"found": 3})

    Times are in milliseconds, since 1970 where they are moments.

    Attributes:
        name: what was done.
        type: `action`, `event`, or `custom`.
        id, trace_id, parent_id: its own, that of the request, and that of the span around it.
        service: of whose service it is: `{"name", "version", "fullName"}`.
        priority: for sampling.
        sampled: whether it is told to the exporters.
        start_time, finish_time, duration: when, and for how long; the last two are `None` until it has ended.
        error: what it failed with.
        tags: whatever else is known of it.
        logs: what happened meanwhile.
        meta: what exporters keep with it.
    """

    __slots__ = (
        *("name", "type", "id", "trace_id", "parent_id", "service", "priority", "sampled"),
        *("start_time", "finish_time", "duration", "error", "tags", "logs", "meta"),
        *("_tracer", "_ctx", "_around", "_before", "_began", "_leave"),
    )

    def __init__(self, tracer: Tracer, name: str, options: Mapping[str, Any], ctx: Any = None) -> None:
        self._tracer, self._ctx = tracer, ctx
        self._before: Span | None = ctx.span if ctx is not None else None
        self._around: Span | None = options.get("parent_span") or self._before
        self._leave: list[Callable[[], None]] = []
        self.name = name
        self.type: str = options.get("type") or "custom"
        self.id: str = options.get("id") or tracer.fresh_id()
        self.trace_id: str = options.get("trace_id") or self.id
        self.parent_id: str | None = options.get("parent_id")
        self.service = _service(options.get("service"))
        priority = options.get("priority")
        self.priority: float = USUAL_PRIORITY if priority is None else priority
        sampled = options.get("sampled")
        self.sampled: bool = tracer.sampling.keeps(self.priority) if sampled is None else bool(sampled)
        self.tags: dict[str, Any] = {**tracer.default_tags, **(options.get("tags") or {})} if self.sampled else {}
        self.logs: list[dict[str, Any]] = []
        self.meta: dict[str, Any] = {}
        self.error: Any = None
        self.start_time = time.time() * 1000
        self._began = time.perf_counter()
        self.finish_time: float | None = None
        self.duration: float | None = None

    @property
    def context(self) -> Any:
        """The call or event that it belongs to, if any."""
        return self._ctx

    @property
    def around(self) -> Span | None:
        """The span of this node around it, if any."""
        return self._around

    @property
    def is_active(self) -> bool:
        """Whether it has not ended."""
        return self.finish_time is None

    def now(self) -> float:
        """The moment now, by the clock that durations are taken with."""
        return self.start_time + (time.perf_counter() - self._began) * 1000

    def add_tags(self, tags: Mapping[str, Any]) -> Self:
        """Adds tags; those of the same names are replaced."""
        self.tags.update(tags)
        return self

    def log(self, name: str, fields: Mapping[str, Any] | None = None, time: float | None = None) -> Self:
        """Notes that something happened, now or at that moment."""
        at = self.now() if time is None else time
        self.logs.append({"name": name, "fields": dict(fields or {}), "time": at, "elapsed": at - self.start_time})
        return self

    def set_error(self, error: Any = True) -> Self:
        """Notes that it failed."""
        self.error = error
        return self

    def start_span(self, name: str, **options: Any) -> Span:
        """Begins a span within it; see `Tracer.start_span`."""
        within = {"parent_span": self, "service": self.service, **options}
        return self._tracer.start_span(name, within, self._ctx)

    def finish(self, time: float | None = None) -> Self:
        """Ends it, now or at that moment; the exporters are told. A second time it does nothing."""
        if self.finish_time is not None:
            return self
        self.finish_time = self.now() if time is None else time
        self.duration = self.finish_time - self.start_time
        self._give_back()
        self._tracer.finished(self)
        return self

    def _give_back(self) -> None:
        """The call's span is again the one before this."""
        if self._ctx is None or self._ctx.span is not self:
            return
        before = self._before
        while before is not None and not before.is_active:
            before = before._before
        self._ctx.span = before

    def __enter__(self) -> Self:
        self._leave.append(self._tracer.enter(self))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _traceback: object) -> None:
        if error is not None:
            self.set_error(error)
        self.finish()
        self._leave.pop()()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        self.__exit__(kind, error, traceback)

    def told(self) -> dict[str, Any]:
        """As Moleculer's event `$tracing.spans` tells it: plain data, in its names."""
        return {
            "name": self.name,
            "type": self.type,
            "id": self.id,
            "traceID": self.trace_id,
            "parentID": self.parent_id,
            "service": self.service,
            "priority": self.priority,
            "sampled": self.sampled,
            "startTime": self.start_time,
            "startTicks": self._began * 1000,
            "finishTime": self.finish_time,
            "duration": self.duration,
            "error": of_error(self.error, self._tracer.error_fields),
            "logs": plain(self.logs),
            "tags": plain(self.tags),
        }

    def __repr__(self) -> str:
        took = "active" if self.duration is None else f"{self.duration:.3f} ms"
        return f"<Span {self.name!r} of {self.trace_id}, {took}>"


def _service(given: Any) -> dict[str, Any] | None:
    if given is None:
        return None
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, str):
        return {"name": given, "fullName": given}
    told = {"name": given.name, "version": given.version, "fullName": given.full_name}
    return {name: value for name, value in told.items() if value is not None}
