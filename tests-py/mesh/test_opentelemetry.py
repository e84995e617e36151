"""Traces as OpenTelemetry has them: through nodes of ours, and nodes of Moleculer.js that know nothing of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from ironbridge.mesh import Broker, Context, MoleculerClientError
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mesh.meeting import Meeting


class Told:
    """What OpenTelemetry was told of."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = {"exporter": {"type": "OpenTelemetry", "options": {"tracerProvider": self.provider}}}

    def named(self, name: str) -> ReadableSpan:
        [found] = [one for one in self._exporter.get_finished_spans() if one.name == name]
        return found


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()
    yield told
    told.provider.shutdown()


def ids(span: ReadableSpan) -> tuple[int, int]:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id, context.span_id


def is_within(inner: ReadableSpan, outer: ReadableSpan) -> bool:
    assert inner.parent is not None
    return (inner.parent.trace_id, inner.parent.span_id) == ids(outer)


@pytest.mark.parametrize("protocol", ["4", "5"])
async def test_a_call_to_another_node_goes_on_in_the_caller_s_trace(namespace: str, told: Told, protocol: str) -> None:
    def node(name: str) -> Broker:
        return Broker(name, transporter="memory", namespace=namespace, protocol=protocol, tracing=told.tracing)

    async def outer(ctx: Context) -> Any:
        return await ctx.call("far.inner")

    async def inner(ctx: Context) -> dict[str, Any]:
        with told.provider.get_tracer("database").start_as_current_span("query"):
            return {"meta": dict(ctx.meta)}

    async with node("one") as one, node("two") as two:
        two.create_service({"name": "far", "actions": {"inner": inner}})
        one.create_service({"name": "near", "actions": {"outer": outer}})
        await one.wait_for_services(["far", "near"], 5000)
        with told.provider.get_tracer("program").start_as_current_span("main"):
            answer = await one.call("near.outer", meta={"user": "u"})
    main, near, far = told.named("main"), told.named("action 'near.outer'"), told.named("action 'far.inner'")
    assert is_within(near, main) and is_within(far, near) and is_within(told.named("query"), far)
    assert (near.kind, far.kind) == (trace.SpanKind.INTERNAL, trace.SpanKind.SERVER)
    if protocol == "4":
        version, trace_id, _, flags = answer["meta"]["traceparent"].split("-")
        assert (version, int(trace_id, 16), int(flags, 16) & 1) == ("00", ids(main)[0], 1)
    assert answer["meta"]["user"] == "u"


async def test_a_node_of_javascript_passes_the_trace_on(at_redis: Meeting, told: Told) -> None:
    at_redis.js("4", "theirs", services=["chain"])

    async def act(ctx: Context) -> str:
        return "here"

    options: dict[str, Any] = {"transporter": at_redis.url, "namespace": at_redis.namespace, "tracing": told.tracing}
    async with Broker("ours", **options) as broker:
        broker.create_service({"name": "it", "actions": {"act": act}})
        await broker.wait_for_services(["chain", "it"], 10_000)
        with told.provider.get_tracer("program").start_as_current_span("main"):
            await broker.call("chain.relay", {"path": ["it.act"]})
    main, here = told.named("main"), told.named("action 'it.act'")
    assert ids(here)[0] == ids(main)[0], "it is one trace"


async def test_what_fails_is_an_error_of_its_span_with_the_exception(namespace: str, told: Told) -> None:
    async def act(ctx: Context) -> None:
        raise MoleculerClientError("not like this", 422, "WRONG")

    async with Broker("one", transporter="memory", namespace=namespace, tracing=told.tracing) as broker:
        broker.create_service({"name": "it", "actions": {"act": act}})
        await broker.wait_for_services(["it"], 5000)
        with pytest.raises(MoleculerClientError):
            await broker.call("it.act", {"a": 1})
    span = told.named("action 'it.act'")
    assert span.status.status_code is trace.StatusCode.ERROR and span.status.description == "not like this"
    [event] = span.events
    assert event.name == "exception" and event.attributes is not None
    assert event.attributes["exception.message"] == "not like this"
    assert span.attributes is not None and span.attributes["params.a"] == 1


async def test_a_traceparent_that_is_none_begins_a_trace(namespace: str, told: Told) -> None:
    async def act(ctx: Context) -> None:
        return None

    options: dict[str, Any] = {"transporter": "memory", "namespace": namespace}
    async with Broker("one", **options, tracing=told.tracing) as one, Broker("two", **options) as two:
        one.create_service({"name": "it", "actions": {"act": act}})
        await two.wait_for_services(["it"], 5000)
        await two.call("it.act", meta={"traceparent": "00-zz", "tracestate": 7})
    assert ids(told.named("action 'it.act'"))[0]


async def test_a_message_of_a_channel_goes_on_in_its_sender_s_trace(namespace: str, told: Told) -> None:
    taken = asyncio.Event()

    async def take(ctx: Context) -> None:
        taken.set()

    async with Broker("one", transporter="memory", namespace=namespace, tracing=told.tracing) as broker:
        broker.create_service({"name": "mail", "channels": {"order.paid": take}})
        await broker.wait_for_services(["mail"], 5000)
        with told.provider.get_tracer("program").start_as_current_span("main"):
            await broker.send_to_channel("order.paid", {"id": 1})
        await asyncio.wait_for(taken.wait(), 5)
    span = told.named("channel 'order.paid' in 'mail'")
    assert is_within(span, told.named("main")) and span.kind is trace.SpanKind.CONSUMER
    assert span.attributes is not None and span.attributes["chan.group"] == "mail"
