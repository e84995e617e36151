"""Spans drawn in the log: each request as a tree, with how long its parts took."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from .exporters import Exporter
from .span import Span

_MOST_OPEN = 10_000


class ConsoleExporter(Exporter):
    """Writes each tree of spans when its outermost has ended.

    Args:
        width: of a line, in characters.
        gauge_width: of the bar in it.
        logger: a function of a line, in place of the broker's log.
    """

    def __init__(self, width: int = 100, gauge_width: int = 40, logger: Callable[[str], Any] | None = None) -> None:
        self._width, self._gauge = max(40, width), max(1, gauge_width)
        self._write = logger
        self._open: OrderedDict[str, tuple[Span, list[Span]]] = OrderedDict()

    async def stop(self) -> None:
        """Forgets what has not ended."""
        self._open.clear()

    def span_started(self, span: Span) -> None:
        self._open[span.id] = (span, [])
        around = self._open.get(span.parent_id or "")
        if around is not None:
            around[1].append(span)
        if len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)

    def span_finished(self, span: Span) -> None:
        if span.parent_id in self._open or span.id not in self._open:
            return
        for line in self._drawn(span):
            if self._write is not None:
                self._write(line)
            else:
                self.logger.info("%s", line)
        self._forget(span)

    def _forget(self, span: Span) -> None:
        _, within = self._open.pop(span.id, (span, []))
        for one in within:
            self._forget(one)

    def _drawn(self, main: Span) -> list[str]:
        rows = list(self._rows(main, "", ""))
        depth = 1 + max(len(indent) // 2 for indent, _ in rows)
        head = f"request {main.trace_id}, {len(rows)} spans, {depth} deep"
        return [head, *(self._line(main, *row) for row in rows)]

    def _rows(self, span: Span, own: str, below: str) -> list[tuple[str, Span]]:
        rows = [(own, span)]
        within = self._open.get(span.id, (span, []))[1]
        for index, one in enumerate(within):
            is_last = index == len(within) - 1
            rows += self._rows(one, below + ("└ " if is_last else "├ "), below + ("  " if is_last else "│ "))
        return rows

    def _line(self, main: Span, indent: str, span: Span) -> str:
        marks = [" *" if span.tags.get("fromCache") else "", " »" if span.tags.get("remoteCall") else ""]
        caption = f"{indent}{span.name}{''.join(marks)}{' ×' if span.error is not None else ''}"
        took = "?" if span.duration is None else f"{span.duration:.2f} ms"
        room = self._width - self._gauge - len(took) - 4
        caption = caption if len(caption) <= room else caption[: room - 1] + "…"
        return f"{caption:<{room}} {took} [{self._bar(main, span)}]"

    def _bar(self, main: Span, span: Span) -> str:
        whole = main.duration or 1
        ended = span.finish_time if span.finish_time is not None else main.start_time + whole
        first = int(self._gauge * min(1.0, max(0.0, (span.start_time - main.start_time) / whole)))
        last = int(self._gauge * min(1.0, max(0.0, (ended - main.start_time) / whole)))
        first = min(first, self._gauge - 1)
        return ("." * first + "■" * max(1, last - first)).ljust(self._gauge, ".")
