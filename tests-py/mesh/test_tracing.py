"""Tracing: which calls led to which, here and through nodes of Moleculer.js, and who is told of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest
from ironbridge._mesh.tracing.console import ConsoleExporter
from ironbridge._mesh.tracing.exporters import Exporter
from ironbridge._mesh.tracing.ids import span_id, trace_id, zipkin_id
from ironbridge._mesh.tracing.sampling import Sampling
from ironbridge._mesh.tracing.span import Span
from ironbridge._mesh.tracing.tags import flat, plain
from ironbridge.errors import ConfigurationError
from ironbridge.mesh import Broker, BrokerOptionsError, Context, MoleculerClientError, ServiceSchemaError

from mesh.inbox import Inbox
from mesh.meeting import Meeting


class Kept(Exporter):
    """Keeps what it is told of."""

    def __init__(self) -> None:
        self.started: list[Span] = []
        self.spans: list[Span] = []

    def span_started(self, span: Span) -> None:
        self.started.append(span)

    def span_finished(self, span: Span) -> None:
        self.spans.append(span)

    def named(self, name: str) -> Span:
        [found] = [span for span in self.spans if span.name == name]
        return found


def traced(
    namespace: str,
    kept: Exporter | None,
    actions: Mapping[str, Any],
    listens: Mapping[str, Any] | None = None,
    **options: Any,
) -> Broker:
    """A broker with a service `it`."""
    tracing = {**({"exporter": kept} if kept is not None else {}), **options}
    broker = Broker("one", transporter="memory", namespace=namespace, tracing=tracing)
    broker.create_service({"name": "it", "actions": actions, "events": listens or {}})
    return broker


async def test_a_call_and_the_calls_within_it_are_one_trace(namespace: str) -> None:
    kept, seen = Kept(), []

    async def outer(ctx: Context) -> Any:
        seen.append((ctx.id, ctx.span.name))
        return await ctx.call("it.inner", {"a": 1})

    async def inner(ctx: Context) -> str:
        seen.append((ctx.id, ctx.span.name))
        return "done"

    async with traced(namespace, kept, {"outer": outer, "inner": inner}) as broker:
        assert await broker.call("it.outer", request_id="the-request") == "done"
    first, second = kept.named("action 'it.outer'"), kept.named("action 'it.inner'")
    assert seen == [(first.id, "action 'it.outer'"), (second.id, "action 'it.inner'")]
    assert first.trace_id == second.trace_id == "the-request"
    assert (first.parent_id, second.parent_id) == (None, first.id)
    assert first.service == {"name": "it", "fullName": "it"} and first.type == "action"
    assert first.duration is not None and second.duration is not None and first.duration >= second.duration
    assert (second.tags["callingLevel"], second.tags["params"], second.tags["fromCache"]) == (2, {"a": 1}, False)
    assert (second.tags["remoteCall"], second.tags["callerNodeID"]) == (False, "one")
    assert second.tags["action"] == {"name": "it.inner", "rawName": "inner"}


async def test_an_action_says_what_is_shown_of_it(namespace: str) -> None:
    kept = Kept()

    def told(ctx: Context, response: Any = None) -> dict[str, Any]:
        return {"size": len(ctx.params["list"]), "got": response}

    async def act(ctx: Context) -> Any:
        return {"id": 7, "secret": "s"}

    actions = {
        "usual": act,
        "never": {"handler": act, "tracing": False},
        "bare": {"handler": act, "tracing": {"tags": {"params": False}}},
        "named": {"handler": act, "tracing": {"tags": {"params": ["a"], "meta": ["user"], "response": ["id"]}}},
        "own": {"handler": act, "tracing": {"tags": told, "spanName": lambda ctx: f"own of {ctx.params['list'][0]}"}},
        "safe": {"handler": act, "tracing": {"safetyTags": True, "tags": {"response": True}}},
    }
    async with traced(namespace, kept, actions, tags={"action": {"meta": True}}) as broker:
        await broker.call("it.usual", {"a": 1, "b": 2}, {"user": "u"})
        await broker.call("it.never")
        await broker.call("it.bare", {"a": 1})
        await broker.call("it.named", {"a": 1, "b": 2}, {"user": "u", "token": "t"})
        await broker.call("it.own", {"list": [5, 6]})
        await broker.call("it.safe", {"odd": {1}})
    usual = kept.named("action 'it.usual'").tags
    assert (usual["params"], usual["meta"]) == ({"a": 1, "b": 2}, {"user": "u"}) and "response" not in usual
    assert "params" not in kept.named("action 'it.bare'").tags
    named = kept.named("action 'it.named'").tags
    assert (named["params"], named["meta"], named["response"]) == ({"a": 1}, {"user": "u"}, {"id": 7})
    own = kept.named("own of 5").tags
    assert (own["size"], own["got"]) == (2, {"id": 7, "secret": "s"}) and "params" not in own
    assert kept.named("action 'it.safe'").tags["params"] == {"odd": [1]}
    assert not [span for span in kept.spans if "never" in span.name]


async def test_a_span_within_a_call_is_the_parent_of_what_it_calls(namespace: str) -> None:
    kept, after = Kept(), []

    async def outer(ctx: Context) -> None:
        own = ctx.span
        with ctx.start_span("look it up", tags={"table": "users"}) as span:
            await ctx.call("it.inner")
            span.add_tags({"found": 3}).log("a row", {"id": 1})
            async with ctx.start_span("deeper"):
                pass
        after.append(ctx.span is own)
        last = ctx.start_span("by hand")
        last.finish()
        last.finish()
        after.append(ctx.span is own)

    async def inner(ctx: Context) -> None:
        ctx.span.start_span("of a span").finish()

    async with traced(namespace, kept, {"outer": outer, "inner": inner}) as broker:
        await broker.call("it.outer")
    outermost, look = kept.named("action 'it.outer'"), kept.named("look it up")
    assert look.parent_id == outermost.id and look.tags == {"table": "users", "found": 3}
    assert kept.named("action 'it.inner'").parent_id == look.id == kept.named("deeper").parent_id
    assert kept.named("of a span").parent_id == kept.named("action 'it.inner'").id
    assert kept.named("by hand").parent_id == outermost.id
    assert [(one["name"], one["fields"]) for one in look.logs] == [("a row", {"id": 1})]
    assert {span.trace_id for span in kept.spans} == {outermost.trace_id}
    assert after == [True, True]


async def test_what_fails_is_told_with_its_error(namespace: str) -> None:
    kept = Kept()

    async def act(ctx: Context) -> None:
        if ctx.params.get("odd"):
            raise KeyError("gone")
        raise MoleculerClientError("no", 422, "NO", {"field": "a"})

    async with traced(namespace, kept, {"act": act}, stackTrace=True) as broker:
        with pytest.raises(MoleculerClientError):
            await broker.call("it.act")
        with pytest.raises(Exception, match="gone"):
            await broker.call("it.act", {"odd": True})
    first, second = (span.told()["error"] for span in kept.spans)
    assert "MoleculerClientError" in first.pop("stack")
    assert first == {
        "name": "MoleculerClientError",
        "message": "no",
        "code": 422,
        "type": "NO",
        "data": {"field": "a"},
    }
    assert second["name"] == "KeyError" and "gone" in second["message"]


async def test_events_have_spans_when_they_are_asked_for(namespace: str) -> None:
    kept = Kept()

    async def act(ctx: Context) -> None:
        await ctx.emit("user.created", {"id": 1})

    async def hears(ctx: Context) -> None:
        return None

    events = {"user.*": {"group": "all", "handler": hears}}
    async with traced(namespace, kept, {"act": act}, events, events=True) as broker:
        await broker.call("it.act")
        await broker.broadcast("user.gone")
    heard = kept.named("event 'user.created' in 'it'")
    assert heard.parent_id == kept.named("action 'it.act'").id and heard.type == "event"
    assert heard.tags["event"] == {"name": "user.*", "group": "all"} and heard.tags["params"] == {"id": 1}
    assert kept.named("event 'user.gone' in 'it'").tags["eventType"] == "broadcast"
    kept.spans.clear()
    async with traced(f"{namespace}-2", kept, {"act": act}, events) as broker:
        await broker.call("it.act")
    assert [span.name for span in kept.spans] == ["action 'it.act'"]


async def test_what_is_not_sampled_is_not_told_but_has_spans(namespace: str) -> None:
    kept, seen = Kept(), []

    async def act(ctx: Context) -> None:
        seen.append((ctx.tracing, ctx.span.sampled))
        with ctx.start_span("within"):
            if ctx.level == 1:
                await ctx.call("it.act")

    async with traced(namespace, kept, {"act": act}, sampling={"rate": 0}) as broker:
        await broker.call("it.act")
        assert (kept.started, seen) == ([], [(False, False)] * 2)
        await broker.call("it.act", tracing=True)
    assert [span.name for span in kept.spans] == ["within", "action 'it.act'"] * 2


def test_samples_are_evenly_spread_and_bounded() -> None:
    fourth, none, urgent, slow = (
        Sampling(one) for one in ({"rate": 0.25}, {"rate": 0}, {"minPriority": 6}, {"tracesPerSecond": 1})
    )
    assert [fourth.keeps(5) for _ in range(8)] == [False, False, False, True] * 2
    assert not any(none.keeps(5) for _ in range(8))
    assert (urgent.keeps(5), urgent.keeps(6)) == (False, True)
    slow._seen -= 100
    assert [slow.keeps(5) for _ in range(3)] == [True, False, False]
    for wrong in ({"rate": 2}, {"rate": "all"}, {"rte": 1}):
        with pytest.raises(BrokerOptionsError, match="sampling has"):
            Sampling(wrong)


async def test_a_trace_goes_on_through_a_node_of_javascript(at_redis: Meeting) -> None:
    js = await asyncio.to_thread(lambda: at_redis.js("4", "theirs", services=["chain", "who"]))
    kept = Kept()
    broker = Broker("ours", transporter=at_redis.url, namespace=at_redis.namespace, tracing={"exporter": kept})

    async def first(ctx: Context) -> Any:
        with ctx.start_span("asks"):
            return await ctx.call("chain.relay", {"path": ["it.last"]})

    async def last(ctx: Context) -> list[Any]:
        return []

    broker.create_service({"name": "it", "actions": {"first": first, "last": last}})
    async with broker:
        await broker.wait_for_services(["chain"], 10_000)
        await asyncio.to_thread(js.meet, "ours")
        [theirs] = await broker.call("it.first")
    begun, ended = kept.named("action 'it.first'"), kept.named("action 'it.last'")
    assert theirs["parentID"] == kept.named("asks").id and theirs["tracing"] is True
    assert (ended.trace_id, ended.parent_id) == (begun.trace_id, theirs["id"])
    assert (ended.tags["remoteCall"], ended.tags["callerNodeID"]) == (True, "theirs")


async def test_spans_are_told_by_the_event_of_moleculer_in_its_form(at_redis: Meeting) -> None:
    event = {"enabled": True, "exporter": {"type": "Event", "options": {"interval": 0.1}}}
    heard: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
    broker = Broker("ours", transporter=at_redis.url, namespace=at_redis.namespace, tracing=event)

    async def hears(ctx: Context) -> None:
        heard.put_nowait((ctx.node_id, ctx.params))

    async def add(ctx: Context) -> Any:
        return ctx.params["a"] + ctx.params["b"]

    broker.create_service({"name": "it", "actions": {"add": add}, "events": {"$tracing.spans": hears}})
    async with broker:
        await asyncio.to_thread(lambda: at_redis.js("4", "theirs", services=["math"], tracing=event))
        await broker.wait_for_services(["math"], 10_000)
        await broker.call("it.add", {"a": 1, "b": 2})
        await broker.call("math.add", {"a": 1, "b": 2})
        spans: dict[str, Any] = {}
        async with asyncio.timeout(10):
            while len(spans) < 2:
                node, told = await heard.get()
                spans.update((node, one) for one in told if one["name"].endswith(".add'"))
    ours, theirs = spans["ours"], spans["theirs"]
    assert (ours["name"], theirs["name"]) == ("action 'it.add'", "action 'math.add'")
    assert set(theirs) - set(ours) == set()
    # JavaScript leaves out what is undefined.
    assert set(ours) - set(theirs) <= {"parentID"}
    assert set(ours["tags"]) == set(theirs["tags"])
    assert {name: type(value) for name, value in theirs["service"].items()} == {"name": str, "fullName": str}
    assert abs(ours["startTime"] - theirs["startTime"]) < 60_000


async def test_zipkin_is_posted_spans(namespace: str) -> None:
    async def act(ctx: Context) -> None:
        ctx.span.log("half way")
        raise MoleculerClientError("no", 422, "NO")

    async with Inbox() as zipkin:
        options = {
            "baseURL": zipkin.url,
            "interval": 0,
            "defaultTags": {"zone": {"name": "a"}},
            "headers": {"x-key": "k"},
        }
        async with traced(namespace, None, {"act": act}, exporter={"type": "Zipkin", "options": options}) as broker:
            with pytest.raises(MoleculerClientError):
                await broker.call("it.act", {"list": [1]}, request_id="0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9")
            [(path, headers, [span])] = await zipkin.wait()
    assert (path, headers["x-key"], headers["content-type"]) == ("/api/v2/spans", "k", "application/json")
    assert (span["name"], span["traceId"], len(span["id"])) == ("action 'it.act'", "0a1b2c3d4e5f6071", 16)
    assert span["localEndpoint"] == {"serviceName": "it"} and span["duration"] >= 1 and "parentId" not in span
    assert [one["value"] for one in span["annotations"]] == ["half way", "error"]
    assert all(isinstance(value, str) for value in span["tags"].values())
    tags = {"error": "no", "error.code": "422", "zone.name": "a", "params.list": "[1]", "remoteCall": "false"}
    assert tags.items() <= span["tags"].items()


async def test_jaeger_is_posted_spans_as_otlp_has_them(namespace: str) -> None:
    async def act(ctx: Context) -> None:
        with ctx.start_span("within"):
            raise MoleculerClientError("no", 422, "NO")

    async with Inbox() as jaeger:
        options = {"endpoint": jaeger.url, "serviceName": "shop"}
        async with traced(namespace, None, {"act": act}, exporter={"type": "Jaeger", "options": options}) as broker:
            with pytest.raises(MoleculerClientError):
                await broker.call("it.act", {"on": True, "n": 2, "x": 0.5})
        # What is left when the broker stops is sent then.
        [(path, _, body)] = await jaeger.wait()
    assert path == "/v1/traces"
    [resource] = body["resourceSpans"]
    assert {"key": "service.name", "value": {"stringValue": "shop"}} in resource["resource"]["attributes"]
    within, act_span = resource["scopeSpans"][0]["spans"]
    assert within["traceId"] == act_span["traceId"] and len(within["traceId"]) == 32
    assert (within["parentSpanId"], act_span["kind"]) == (act_span["spanId"], 2)
    assert act_span["status"] == {"code": 2, "message": "no"}
    assert int(act_span["startTimeUnixNano"]) <= int(within["endTimeUnixNano"])
    told = {one["key"]: one["value"] for one in act_span["attributes"]}
    assert (told["params.on"], told["params.n"], told["params.x"]) == (
        {"boolValue": True},
        {"intValue": "2"},
        {"doubleValue": 0.5},
    )


@pytest.mark.parametrize("status", ["500 Broken", None])
async def test_calls_go_on_when_nobody_takes_the_spans(
    namespace: str, caplog: pytest.LogCaptureFixture, status: str | None
) -> None:
    async with Inbox(status or "202 Accepted") as zipkin:
        url = zipkin.url
        if status is None:
            await zipkin.__aexit__()
        exporter = {"type": "Zipkin", "options": {"baseUrl": url, "max_queue": 2}}
        with caplog.at_level(logging.WARNING, "ironbridge.mesh"):
            async with traced(namespace, None, {"act": lambda ctx: 1}, exporter=exporter) as broker:
                assert [await broker.call("it.act") for _ in range(3)] == [1, 1, 1]
    assert "1 spans were left out" in caplog.text
    assert "2 spans could not be sent" in caplog.text


async def test_an_exporter_that_fails_fails_no_call(namespace: str, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Exporter):
        def span_finished(self, span: Span) -> None:
            raise RuntimeError("broken")

    async with traced(namespace, Broken(), {"act": lambda ctx: 1}) as broker:
        assert await broker.call("it.act") == 1
    assert "could not take the span" in caplog.text


async def test_the_console_draws_each_request_as_a_tree(namespace: str) -> None:
    lines: list[str] = []

    async def outer(ctx: Context) -> None:
        await ctx.call("it.inner")
        with ctx.start_span("the end"):
            pass

    async def inner(ctx: Context) -> None:
        with ctx.start_span("deep"):
            pass

    console = ConsoleExporter(width=70, gauge_width=20, logger=lines.append)
    async with traced(namespace, console, {"outer": outer, "inner": inner}) as broker:
        await broker.call("it.outer")
    head, *rows = lines
    assert "4 spans, 3 deep" in head
    assert [row[:22].rstrip() for row in rows] == [
        "action 'it.outer'",
        "├ action 'it.inner'",
        "│ └ deep",
        "└ the end",
    ]
    assert all(len(row) == 70 and " ms [" in row for row in rows)


async def test_nothing_stands_around_calls_when_it_is_off(namespace: str) -> None:
    async def act(ctx: Context) -> Any:
        assert ctx.span is None
        with pytest.raises(ConfigurationError, match="tracing=True"):
            ctx.start_span("x")
        return 1

    for off in (False, {"enabled": False}):
        broker = Broker("one", transporter="memory", namespace=namespace, tracing=off)
        service = broker.create_service({"name": "it", "actions": {"act": act}})
        assert broker.tracer is None and not broker.middlewares.has("local_action")
        [schema] = service.action_schemas
        assert broker.middlewares.wrap("local_action", act, schema) is act
        async with broker:
            assert await broker.call("it.act") == 1


@pytest.mark.parametrize(
    ("tracing", "why"),
    [
        ("yes", "give True"),
        ({"exportr": "Console"}, "no option exportr"),
        ({"exporter": "Pigeon"}, "Console, Event, Zipkin, Jaeger and OpenTelemetry"),
        ({"exporter": {"type": "Zipkin", "options": {"baseUrl": "ftp://x"}}}, "http://"),
        ({"exporter": {"type": "Event", "options": {"colour": 1}}}, "colour"),
        ({"exporter": {"type": "Event", "options": {"interval": -1}}}, "not negative"),
    ],
)
def test_what_cannot_be_is_refused(tracing: Any, why: str) -> None:
    with pytest.raises(BrokerOptionsError, match=why):
        Broker("one", transporter="memory", tracing=tracing)


@pytest.mark.parametrize("wrong", ["yes", {"tag": {}}, {"tags": 1}])
def test_a_schema_that_asks_for_what_there_is_not_is_refused(namespace: str, wrong: Any) -> None:
    with pytest.raises(ServiceSchemaError, match=r"it\.act: tracing="):
        traced(namespace, None, {"act": {"handler": lambda ctx: 1, "tracing": wrong}})


def test_tags_become_plain_data_whatever_they_are() -> None:
    loop: dict[str, Any] = {"name": "loop"}
    loop["self"] = loop

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    told = plain({"loop": loop, "bytes": b"12", "nan": float("nan"), "odd": Broken(), 1: (2, {3})})
    assert (told["bytes"], told["nan"], told["odd"], told["1"]) == ("<2 bytes>", "nan", "<Broken>", [2, [3]])
    assert told["loop"]["self"]["name"] == "loop"
    assert flat({"a": {"b": {"c": 1}, "none": None}, "l": [1, "x"]}) == {"a.b.c": 1, "l": '[1, "x"]'}


def test_ids_of_any_kind_become_those_of_other_tools() -> None:
    assert trace_id("0A1B2C3D-4e5f-6071-8293-a4b5c6d7e8f9") == "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
    assert zipkin_id("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9") == "0a1b2c3d4e5f6071"
    # Two that begin alike are two still.
    assert len({span_id("0a1b2c3d-4e5f-6071-0000-000000000001"), span_id("0a1b2c3d-4e5f-6071-0000-000000000002")}) == 2
    own = [trace_id("order-1"), trace_id("order-2"), trace_id("0" * 32), trace_id("abc")]
    assert len(set(own)) == 4 and all(len(one) == 32 and int(one, 16) for one in own)
