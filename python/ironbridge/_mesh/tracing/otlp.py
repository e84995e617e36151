"""Spans for Jaeger, and whoever else takes OTLP over HTTP, in JSON (https://opentelemetry.io/docs/specs/otlp/)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .exporters import Batches
from .ids import span_id, trace_id
from .posting import address, post
from .span import Span
from .tags import flat, of_error, plain

_KINDS = {"action": 2, "event": 5}
"""SERVER and CONSUMER; others are INTERNAL, 1."""
_OK, _ERROR = 1, 2


class JaegerExporter(Batches):
    """Posts spans to Jaeger, several at a time.

    Args:
        endpoint: where it takes OTLP over HTTP.
        service_name: as what the node is shown; its id unless given.
        headers: sent with each request.
        default_tags: of the node.
        interval, max_queue: see `Batches`.

    Raises:
        BrokerOptionsError: that is no URL.
    """

    def __init__(
        self,
        endpoint: str = "http://localhost:4318",
        service_name: str | None = None,
        headers: Mapping[str, str] | None = None,
        default_tags: Mapping[str, Any] | None = None,
        interval: float = 5,
        **more: Any,
    ) -> None:
        super().__init__(interval, **more)
        place = address(endpoint, "tracing: endpoint")
        self._url = place if place.endswith("/v1/traces") else f"{place}/v1/traces"
        self._name, self._headers, self._tags = service_name, headers, dict(default_tags or {})

    def span_finished(self, span: Span) -> None:
        self.keep(span)

    async def send(self, spans: list[Span]) -> None:
        await post(self._url, self.payload(spans), self._headers)

    def payload(self, spans: list[Span]) -> dict[str, Any]:
        """Spans as OTLP has them."""
        node = {
            "service.name": self._name or self.broker.node_id,
            "service.instance.id": self.broker.instance_id,
            **self._tags,
        }
        return {
            "resourceSpans": [
                {
                    "resource": {"attributes": _attributes(node)},
                    "scopeSpans": [{"scope": {"name": "ironbridge.mesh"}, "spans": [self._span(one) for one in spans]}],
                }
            ]
        }

    def _span(self, span: Span) -> dict[str, Any]:
        error = of_error(span.error, self.tracer.error_fields)
        tags = {**plain(span.tags), "span.type": span.type}
        if span.service:
            tags["service"] = span.service["fullName"]
        status: dict[str, Any] = {"code": _OK}
        if error is not None:
            tags["error"] = error
            status = {"code": _ERROR, "message": str(error.get("message", ""))}
        told = {
            "traceId": trace_id(span.trace_id),
            "spanId": span_id(span.id),
            "name": span.name,
            "kind": _KINDS.get(span.type, 1),
            "startTimeUnixNano": _nanoseconds(span.start_time),
            "endTimeUnixNano": _nanoseconds(span.finish_time or span.start_time),
            "attributes": _attributes(flat(tags)),
            "events": [
                {
                    "name": one["name"],
                    "timeUnixNano": _nanoseconds(one["time"]),
                    "attributes": _attributes(flat(plain(one["fields"]))),
                }
                for one in span.logs
            ],
            "status": status,
        }
        return told if span.parent_id is None else {**told, "parentSpanId": span_id(span.parent_id)}


def _nanoseconds(time: float) -> str:
    return str(int(time * 1_000_000))


def _attributes(tags: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in tags.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": str(value)}
