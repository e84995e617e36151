"""What is told of a unit of work, in OpenTelemetry's words (its semantic conventions for HTTP and messaging)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException

from .. import const
from ..core.contexts import (
    AppTransactionContext,
    HttpTransactionData,
    MessageBusTransactionData,
    SchedulerTransactionData,
    WebSocketTransactionData,
)
from .redacting import redacted_headers


@dataclass(frozen=True, slots=True)
class Described:
    """One unit of work.

    Attributes:
        type: `http`, `websocket`, `message_bus` or `scheduler`.
        name: the span's.
        kind: the span's.
        attributes: the span's.
        labels: those of its figures.
        carrier: headers that it came with.
        outcome: what is told at its end, of the exception that ended it.
    """

    type: str
    name: str
    kind: Any
    attributes: Mapping[str, Any]
    labels: Mapping[str, Any]
    carrier: Mapping[str, str]
    outcome: Callable[[BaseException | None], Mapping[str, Any]]

    def is_failure(self, error: BaseException) -> bool:
        """Whether an exception is the server's fault."""
        return not (isinstance(error, HTTPException) and error.status_code < 500)


def described(context: AppTransactionContext, shown: Collection[str]) -> Described:
    """What is told of a unit of work; `shown` are the request headers that are."""
    from opentelemetry.trace import SpanKind

    data = context.transaction_data
    if isinstance(data, HttpTransactionData):
        request = data.request
        route = _route(request.scope)
        labels = {"http.request.method": request.method, "http.route": route}
        more = {"url.path": request.url.path, "url.scheme": request.url.scheme, **_shown(request.headers, shown)}
        by_path = const.OBSERVABILITY_TRACE_SPAN_HTTP_REQUEST_USE_ABSOLUTE_PATH_ON_TITLE
        name = f"HTTP {request.method} {request.url.path if by_path else route}"
        return Described("http", name, SpanKind.SERVER, labels | more, labels, _carrier(request.headers), _http(data))
    if isinstance(data, WebSocketTransactionData):
        socket = data.websocket
        labels = {"http.route": _route(socket.scope)}
        told = labels | {"url.path": socket.url.path} | _shown(socket.headers, shown)
        name = f"WebSocket {labels['http.route']}"
        return Described("websocket", name, SpanKind.SERVER, told, labels, _carrier(socket.headers), _nothing)
    if isinstance(data, MessageBusTransactionData):
        kind = str(getattr(data.message_type, "MESSAGE_TYPE", "task")).upper()
        topic = str(getattr(data.message_type, "MESSAGE_TOPIC", "") or "").replace("__unset__", "") or data.topic
        labels = {"messaging.destination.name": data.topic}
        told = labels | {"messaging.operation.name": "process", "messaging.message.attempt": data.processing_attempt}
        if data.message_id is not None:
            told["messaging.message.id"] = data.message_id
        name = f"{kind} {topic}"
        if const.OBSERVABILITY_TRACE_MESSAGEBUS_SPAN_NAME_STYLE == "legacy":
            name = f"Att#{data.processing_attempt} Message Bus {data.topic}"
        return Described("message_bus", name, SpanKind.CONSUMER, told, labels, _carrier(data.headers), _nothing)
    assert isinstance(data, SchedulerTransactionData)
    labels = {"scheduler.task": data.task_name}
    told = labels | {"scheduler.cron": data.cron_expression, "scheduler.scheduled_to": data.scheduled_to.isoformat()}
    return Described("scheduler", f"Scheduler Task {data.task_name}", SpanKind.INTERNAL, told, labels, {}, _nothing)


def _http(data: HttpTransactionData) -> Callable[[BaseException | None], Mapping[str, Any]]:
    def outcome(error: BaseException | None) -> Mapping[str, Any]:
        if error is not None:
            status = error.status_code if isinstance(error, HTTPException) else 500
        else:
            given = getattr(data.response, "status_code", None)
            status = given or getattr(data.request.scope.get("route"), "status_code", None) or 200
        return {"http.response.status_code": status}

    return outcome


def _nothing(_error: BaseException | None) -> Mapping[str, Any]:
    return {}


def _route(scope: Mapping[str, Any]) -> str:
    route = scope.get("route")
    return str(getattr(route, "path_format", None) or getattr(route, "path", None) or scope.get("path", ""))


def _shown(headers: Any, shown: Collection[str]) -> dict[str, Any]:
    found = redacted_headers((name, value) for name, value in headers.items() if name.lower() in shown)
    return {f"http.request.header.{name}": values for name, values in found.items()}


def _carrier(headers: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value for name in ("traceparent", "tracestate", "baggage") if isinstance(value := headers.get(name), str)
    }
