"""Spans for Zipkin, by its API v2 (https://zipkin.io/zipkin-api/)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .exporters import Batches
from .ids import zipkin_id
from .posting import address, post
from .span import Span
from .tags import as_text, of_error, plain


class ZipkinExporter(Batches):
    """Posts spans to Zipkin, several at a time.

    Args:
        base_url: where Zipkin is; the environment's `ZIPKIN_URL`, or `http://localhost:9411`, unless given.
        headers: sent with each request.
        payload_options: `debug` and `shared` of each span.
        default_tags: of each span.
        interval, max_queue: see `Batches`.

    Raises:
        BrokerOptionsError: that is no URL.
    """

    def __init__(
        self,
        base_url: str | None = None,
        headers: Mapping[str, str] | None = None,
        payload_options: Mapping[str, bool] | None = None,
        default_tags: Mapping[str, Any] | None = None,
        interval: float = 5,
        **more: Any,
    ) -> None:
        super().__init__(interval, **more)
        place = base_url or os.environ.get("ZIPKIN_URL") or "http://localhost:9411"
        self._url = f"{address(place, 'tracing: base_url')}/api/v2/spans"
        self._headers, self._options = headers, dict(payload_options or {})
        self._tags = as_text(default_tags or {})

    def span_finished(self, span: Span) -> None:
        self.keep(span)

    async def send(self, spans: list[Span]) -> None:
        await post(self._url, [self.payload(span) for span in spans], self._headers)

    def payload(self, span: Span) -> dict[str, Any]:
        """A span as Zipkin reads it. Ids are 16 digits, as Moleculer's own exporter makes them; times, microseconds."""
        service = {"serviceName": span.service["fullName"]} if span.service else {"serviceName": self.broker.node_id}
        error = of_error(span.error, self.tracer.error_fields)
        told: dict[str, Any] = {
            "name": span.name,
            "kind": "SERVER",
            "traceId": zipkin_id(span.trace_id),
            "id": zipkin_id(span.id),
            "parentId": zipkin_id(span.parent_id) if span.parent_id else None,
            "localEndpoint": service,
            "remoteEndpoint": service,
            "timestamp": _microseconds(span.start_time),
            "duration": _microseconds(span.duration),
            "annotations": [{"value": one["name"], "timestamp": _microseconds(one["time"])} for one in span.logs],
            "tags": {
                "service": service["serviceName"],
                "span.type": span.type,
                **self._tags,
                **as_text(plain(span.tags)),
            },
            "debug": bool(self._options.get("debug")),
            "shared": bool(self._options.get("shared")),
        }
        if error is not None:
            told["tags"].update({"error": str(error.get("message", "")), **as_text({"error": error})})
            told["annotations"].append({"value": "error", "timestamp": _microseconds(span.finish_time)})
        return {name: value for name, value in told.items() if value is not None}


def _microseconds(time: float | None) -> int | None:
    # Zipkin takes a duration of none for one that is not known.
    return None if time is None else max(1, round(time * 1000))
