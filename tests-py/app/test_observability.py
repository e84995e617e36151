"""Traces, figures and log records of requests, messages, websockets and scheduled runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from fastapi import HTTPException, WebSocket, WebSocketDisconnect
from fastapi.testclient import TestClient
from harness import wait_until
from ironbridge._app.observability.flows import flow_in, with_flow
from ironbridge._app.observability.redacting import redacted_headers, redacted_url
from ironbridge.app import (
    BodyRedactor,
    ContextualLoggerExtraAttributesHandler,
    Get,
    HttpResponseEventMiddleware,
    Message,
    MessageBusController,
    MessageHandler,
    MessageOf,
    Microservice,
    ObservabilityInterceptor,
    OtelObservabilityProvider,
    Post,
    RestController,
    RetryPolicy,
    ScheduledAction,
    TracedClass,
    TraceResponseHeaderMiddleware,
    TrustAwareTextMapPropagator,
    WebSocketEndpoint,
    add_event,
    create_http_server,
    get_current_span_context,
    get_flow_id,
    get_logger_extra_attributes,
    get_root_span,
    get_tracing_provider,
    install_inbound_trace_boundary,
    providing_logger_extra_attributes,
    record_exception,
    set_root_span_attribute,
    set_root_span_attributes,
    set_span_attribute,
    set_span_status,
    spawn_trace,
    start_message_publish_span,
    start_span,
    trust_any_of,
    trust_no_one,
    trust_requests_without_origin,
    trust_when_header_matches,
)
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace import get_current_span as get_span

log = logging.getLogger("observed")


class Placed(Message):
    MESSAGE_TOPIC = "order.placed"
    number: int


class Packed(Message):
    MESSAGE_TOPIC = "order.packed"
    TRACE_BOUNDARY = "child"
    then: bool


class Sent(Message):
    MESSAGE_TOPIC = "order.sent"
    MESSAGE_TYPE = "event"


@TracedClass("Stock", trace_mapper=lambda self, number: {"order": number}, exclude_methods=["count"])
class Stock:
    async def reserve(self, number: int) -> int:
        set_span_attribute("reserved", True)
        return number

    def count(self) -> int:
        return 0


@MessageBusController()
@RestController("/orders")
class Orders:
    flows: ClassVar[dict[str, str | None]] = {}

    def __init__(self) -> None:
        self.tried = 0

    @Get("/{number}")
    async def look(self, number: int) -> int:
        if number == 404:
            raise HTTPException(404, "no such order")
        if number == 500:
            raise RuntimeError("broken")
        with start_span("look it up", {"number": number}):
            add_event("found", {"shelf": 3})
            log.warning("looked for %d", number)
        return await Stock().reserve(number)

    @Post("/{number}")
    async def place(self, number: int) -> None:
        await Placed(number=number).publish()

    @Post("/{number}/packed")
    async def pack(self, number: int, then: bool = False) -> None:
        await Packed(then=then).publish()

    @MessageHandler(Packed)
    async def packed(self, message: MessageOf[Packed]) -> None:
        self.flows["packed"] = get_flow_id()
        if message.payload().then:
            await Sent().publish()

    @MessageHandler(Sent)
    async def sent(self, message: MessageOf[Sent]) -> None:
        self.flows["sent"] = get_flow_id()

    @MessageHandler(
        Placed,
        nack_on_exception=True,
        retry_config=RetryPolicy(initial_delay=0.01, jitter=False),
        nack_delay_on_exception=0,
    )
    async def handle(self, message: MessageOf[Placed]) -> None:
        self.tried += 1
        if message.payload().number == 2 and self.tried == 1:
            raise ValueError("not yet")

    @ScheduledAction("* * * * * */1")
    async def tick(self) -> None:
        add_event("ticked")

    @WebSocketEndpoint("/ws")
    async def listen(self, websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await websocket.receive_text()
        except WebSocketDisconnect:
            return


class Observed:
    """What is told of an application."""

    def __init__(self) -> None:
        self._spans, self.logs = InMemorySpanExporter(), InMemoryLogRecordExporter()
        self._reader = InMemoryMetricReader()
        self.provider = OtelObservabilityProvider(
            "orders", span_exporter=self._spans, meter_exporter=self._reader, logs_exporter=self.logs
        )
        self.interceptor = ObservabilityInterceptor(self.provider, capture_headers=["User-Agent", "Authorization"])

    def spans(self, name: str) -> list[ReadableSpan]:
        self.provider.tracer_provider.force_flush()
        return [one for one in self._spans.get_finished_spans() if one.name == name]

    def span(self, name: str, count: int = 1) -> ReadableSpan:
        wait_until(lambda: len(self.spans(name)) >= count, 10, name)
        return self.spans(name)[-1]

    def figures(self, name: str) -> list[Any]:
        data: Any = self._reader.get_metrics_data()
        metrics = [metric for one in data.resource_metrics for scope in one.scope_metrics for metric in scope.metrics]
        return [point for one in metrics if one.name == name for point in one.data.data_points]


@pytest.fixture
def observed() -> Observed:
    return Observed()


@pytest.fixture
def client(observed: Observed) -> Iterator[TestClient]:
    asgi = create_http_server(Microservice(controllers=[Orders], interceptors=[observed.interceptor]))
    with TestClient(asgi, raise_server_exceptions=False) as client:
        yield client


def is_within(inner: ReadableSpan, outer: ReadableSpan) -> bool:
    context = outer.get_span_context()
    assert inner.parent is not None and context is not None
    return (inner.parent.trace_id, inner.parent.span_id) == (context.trace_id, context.span_id)


def test_a_request_is_a_span_in_its_caller_s_trace_and_hides_secrets(client: TestClient, observed: Observed) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01", "authorization": "Bearer secret", "user-agent": "me"}
    assert client.get("/orders/7", headers=headers).json() == 7
    span = observed.span("HTTP GET /orders/{number}")
    assert span.kind is SpanKind.SERVER and span.attributes is not None
    assert span.context is not None and f"{span.context.trace_id:032x}" == trace
    told = dict(span.attributes)
    assert (told["http.route"], told["url.path"], told["http.response.status_code"]) == (
        "/orders/{number}",
        "/orders/7",
        200,
    )
    assert told["http.request.header.authorization"] == ("[redacted]",)
    assert told["http.request.header.user-agent"] == ("me",)
    inner = observed.span("look it up")
    assert is_within(inner, span) and [one.name for one in inner.events] == ["found"]
    stock = observed.span("Stock.reserve")
    assert is_within(stock, span) and dict(stock.attributes or {}) == {"order": 7, "reserved": True}
    assert all("secret" not in str(one.to_json()) for one in (span, inner, stock))


def test_what_is_the_server_s_fault_is_an_error_and_what_is_the_caller_s_is_none(
    client: TestClient, observed: Observed
) -> None:
    assert client.get("/orders/404").status_code == 404
    assert client.get("/orders/500").status_code == 500
    wait_until(lambda: len(observed.spans("HTTP GET /orders/{number}")) == 2, 10)
    missing, broken = observed.spans("HTTP GET /orders/{number}")
    assert missing.status.status_code is StatusCode.UNSET
    assert broken.status.status_code is StatusCode.ERROR and "broken" in str(broken.status.description)
    statuses = [dict(one.attributes or {})["http.response.status_code"] for one in (missing, broken)]
    assert statuses == [404, 500]


@pytest.mark.parametrize(("number", "attempts"), [(1, 1), (2, 2)])
def test_a_message_is_a_trace_of_its_own_linked_to_its_publisher_s_also_when_it_is_tried_again(
    client: TestClient, observed: Observed, number: int, attempts: int
) -> None:
    assert client.post(f"/orders/{number}").status_code == 200
    observed.span("TASK order.placed", attempts)
    request, published = observed.span("HTTP POST /orders/{number}"), observed.span("PUBLISH order.placed")
    assert is_within(published, request) and published.kind is SpanKind.PRODUCER
    handled = observed.spans("TASK order.placed")
    for one in handled:
        assert one.parent is None and one.kind is SpanKind.CONSUMER
        assert one.context is not None and request.context is not None and published.context is not None
        assert [(link.context.trace_id, link.context.span_id) for link in one.links] == [
            (published.context.trace_id, published.context.span_id)
        ]
        assert one.context.trace_id != request.context.trace_id
    told = [dict(one.attributes or {})["messaging.message.attempt"] for one in handled]
    assert told == list(range(1, attempts + 1))
    assert (handled[0].status.status_code is StatusCode.ERROR) is (attempts > 1)


def test_a_message_that_says_so_is_a_part_of_its_publisher_s_trace(client: TestClient, observed: Observed) -> None:
    client.post("/orders/3/packed")
    observed.span("TASK order.packed")
    [handled], [published] = observed.spans("TASK order.packed"), observed.spans("PUBLISH order.packed")
    assert is_within(handled, published) and handled.links == ()


def test_all_that_follows_from_a_request_is_one_flow_through_all_its_traces(
    client: TestClient, observed: Observed
) -> None:
    client.post("/orders/3/packed", params={"then": True})
    observed.span("EVENT order.sent")
    request = observed.span("HTTP POST /orders/{number}/packed").context
    assert request is not None
    assert Orders.flows == {"packed": f"{request.trace_id:032x}", "sent": f"{request.trace_id:032x}"}
    sent = observed.span("EVENT order.sent").context
    assert sent is not None and sent.trace_id != request.trace_id


def test_a_flow_is_one_member_of_the_baggage_among_others() -> None:
    assert with_flow("a=1, flow.id=x,b=2;p", "f" * 32) == f"flow.id={'f' * 32},a=1,b=2;p"
    assert flow_in({"baggage": f"a=1, flow.id = {'e' * 32}"}) == "e" * 32
    assert flow_in({"baggage": "flow.id=../x"}) is flow_in({"baggage": 7}) is flow_in({}) is None
    assert flow_in({"baggage": "a=" + "1" * 9000 + ",flow.id=" + "e" * 32}) is None


def test_code_that_publishes_by_itself_has_spans_like_ours(observed: Observed) -> None:
    seen: list[Any] = []

    @RestController("/own")
    class Own:
        @Post("/")
        async def publish(self) -> None:
            seen.append(get_tracing_provider())
            with start_message_publish_span(topic="theirs", attributes={"more": 1}):
                pass
            with pytest.deprecated_call(), spawn_trace("as before"):
                pass

    with TestClient(create_http_server(Microservice(controllers=[Own], interceptors=[observed.interceptor]))) as client:
        assert client.post("/own/").status_code == 200
    published, request = observed.span("PUBLISH theirs"), observed.span("HTTP POST /own/")
    assert published.kind is SpanKind.PRODUCER and is_within(published, request)
    assert dict(published.attributes or {}) == {
        "messaging.destination.name": "theirs",
        "messaging.operation.name": "publish",
        "more": 1,
    }
    assert is_within(observed.span("as before"), request)
    assert seen == [observed.provider] and get_tracing_provider() is None


def test_instrumentation_takes_no_stranger_s_word_either() -> None:
    propagator = TrustAwareTextMapPropagator(trust_when_header_matches("x-key", "k"))
    trusted = get_span(propagator.extract({**STRANGER, "X-Key": "k"})).get_span_context()
    assert f"{trusted.trace_id:032x}" in STRANGER["traceparent"]
    assert not get_span(propagator.extract(STRANGER)).get_span_context().is_valid
    scope = {"type": "http", "headers": [(b"x-key", b"other"), (b"traceparent", STRANGER["traceparent"].encode())]}
    assert not get_span(propagator.extract(scope)).get_span_context().is_valid
    carrier: dict[str, str] = {}
    propagator.inject(carrier, set_span_in_context(NonRecordingSpan(trusted)))
    assert carrier == STRANGER and propagator.fields == {"traceparent", "tracestate"}


def test_the_span_around_an_application_is_told_of_its_answers(observed: Observed) -> None:
    asgi = create_http_server(Microservice(controllers=[Orders]))
    tracer = observed.provider.tracer_provider.get_tracer("test")
    app = HttpResponseEventMiddleware(asgi)
    with tracer.start_as_current_span("around"), TestClient(app) as client:
        assert client.get("/orders/7").text == "7"
        assert client.get("/orders/404").status_code == 404
    told: list[dict[str, Any]] = [
        dict(one.attributes or {}) for one in observed.span("around").events if one.name == "http.response"
    ]
    assert [(one["http.response.status_code"], one["http.response.body.size"] > 0) for one in told] == [
        (200, True),
        (404, True),
    ]
    assert all(one["duration"] > 0 for one in told)


def test_websockets_and_scheduled_runs_are_spans(client: TestClient, observed: Observed) -> None:
    with client.websocket_connect("/orders/ws") as socket:
        socket.send_text("bye")
    assert observed.span("WebSocket /orders/ws").kind is SpanKind.SERVER
    tick = observed.span(f"Scheduler Task {__name__}.Orders.tick")
    assert [one.name for one in tick.events] == ["ticked"]
    assert dict(tick.attributes or {})["scheduler.cron"] == "* * * * * */1"


def test_figures_are_kept_of_all(client: TestClient, observed: Observed) -> None:
    client.get("/orders/7")
    client.get("/orders/500")
    client.post("/orders/1")
    observed.span("TASK order.placed")
    durations = observed.figures("http.server.request.duration")
    found = {(dict(one.attributes)["http.response.status_code"], one.count) for one in durations}
    assert found == {(200, 1), (500, 1)} or found == {(200, 1), (200, 1), (500, 1)}
    assert sum(one.value for one in observed.figures("messagebus.messages.sent")) == 1
    assert sum(one.value for one in observed.figures("messagebus.messages.processed")) == 1
    assert all(one.value == 0 for one in observed.figures("messagebus.messages.inflight"))


def test_log_records_have_their_trace(client: TestClient, observed: Observed) -> None:
    client.get("/orders/7")
    context = observed.span("look it up").context
    assert observed.provider._logs is not None and context is not None
    observed.provider._logs.flush()
    [record] = [one.log_record for one in observed.logs.get_finished_logs() if one.log_record.body == "looked for 7"]
    assert (record.trace_id, record.span_id, record.severity_text) == (context.trace_id, context.span_id, "WARNING")


def test_log_records_have_what_is_told_around_them(observed: Observed) -> None:
    seen: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record)

    logger = logging.getLogger("observed.apart")
    logger.propagate = False
    logger.addHandler(ContextualLoggerExtraAttributesHandler(inject_extra=lambda: {"more": 1}))
    logger.addHandler(Keeping())
    tracer = observed.provider.tracer_provider.get_tracer("test")
    with providing_logger_extra_attributes(order=7), tracer.start_as_current_span("here") as span:
        assert get_logger_extra_attributes() == {"order": 7}
        logger.warning("hello")
    [record] = seen
    told = vars(record)
    assert (told["order"], told["more"], told["trace_id"]) == (7, 1, f"{span.get_span_context().trace_id:032x}")


STRANGER = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


@pytest.mark.parametrize(
    ("headers", "is_trusted"),
    [
        ({}, True),
        ({"origin": "https://ours"}, True),
        ({"origin": "https://x"}, False),
        ({"origin": "x", "x-key": "k"}, True),
    ],
)
def test_a_stranger_s_word_on_traces_is_kept_aside_and_answers_tell_theirs(
    observed: Observed, headers: dict[str, str], is_trusted: bool
) -> None:
    asgi = create_http_server(Microservice(controllers=[Orders], interceptors=[observed.interceptor]))
    trust = trust_any_of(
        trust_no_one(), trust_requests_without_origin(["https://ours"]), trust_when_header_matches("X-Key", "k")
    )
    install_inbound_trace_boundary(trust)(asgi)
    asgi.add_middleware(TraceResponseHeaderMiddleware)
    with TestClient(asgi) as client:
        answer = client.get("/orders/7", headers={**STRANGER, **headers})
    context = observed.span("HTTP GET /orders/{number}").context
    assert context is not None
    assert (f"{context.trace_id:032x}" in STRANGER["traceparent"]) is is_trusted
    told = f"00-{context.trace_id:032x}-{context.span_id:016x}"
    assert answer.headers["traceparent"].startswith(told)
    assert answer.headers["access-control-expose-headers"] == "traceparent"


def test_the_whole_unit_of_work_has_a_span_that_code_within_adds_to(observed: Observed) -> None:
    flows: list[Any] = []

    @RestController("/deep")
    class Deep:
        @Get("/")
        async def look(self) -> None:
            with start_span("within"):
                set_root_span_attribute("who", "ann")
                set_root_span_attributes({"a": 1})
                flows.append((get_flow_id(), get_root_span()))

    with TestClient(
        create_http_server(Microservice(controllers=[Deep], interceptors=[observed.interceptor]))
    ) as client:
        client.get("/deep/")
    span = observed.span("HTTP GET /deep/")
    [(flow, root)] = flows
    assert span.context is not None and flow == f"{span.context.trace_id:032x}" and root is not None
    assert {name: dict(span.attributes or {})[name] for name in ("who", "a")} == {"who": "ann", "a": 1}
    assert get_flow_id() is get_root_span() is None


def test_nothing_happens_where_nothing_is_observed() -> None:
    assert get_current_span_context() is None
    with start_span("nowhere"):
        add_event("nothing")
        set_span_attribute("a", 1)
        set_span_status("OK")
        record_exception(ValueError("nobody hears"))


def test_secrets_are_left_out_of_what_is_shown() -> None:
    shown = redacted_headers([("Cookie", "a=b"), ("X-Mine", "m"), ("Accept", "x")], more=["x-mine"])
    assert shown == {"cookie": ["[redacted]"], "x-mine": ["[redacted]"], "accept": ["x"]}
    assert (
        redacted_url("https://ann:pw@host/p?token=1&a=2")
        == "https://ann:[redacted]@host/p?token=[redacted]&a=[redacted]"
    )
    redact = BodyRedactor(most=90)
    assert redact(b'{"user": "ann", "Password": "x", "deep": [{"api_key": "y"}]}').count("[redacted]") == 2
    assert redact(b"\xff\x00") == "[2 bytes]"
    assert len(redact(b'"' + b"a" * 200 + b'"')) == 91
