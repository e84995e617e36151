"""Metrics: what a node counts and times, under Moleculer's names, and what Prometheus reads of it."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest
from ironbridge._mesh.metrics.prometheus import PrometheusServer
from ironbridge._mesh.metrics.registry import MetricRegistry
from ironbridge.mesh import Broker, BrokerOptionsError, Context, MoleculerClientError

from mesh.meeting import Meeting

PROMETHEUS = {"reporter": {"type": "Prometheus", "options": {"port": 0}}}


def node(namespace: str, metrics: Any) -> Broker:
    async def act(ctx: Context) -> str:
        if ctx.params.get("fail"):
            raise MoleculerClientError("no", 422, "NO")
        return "done"

    broker = Broker("one", transporter="memory", namespace=namespace, metrics=metrics)
    broker.create_service(
        {"name": "it", "actions": {"act": act}, "events": {"told.*": {"group": "all", "handler": lambda ctx: None}}}
    )
    return broker


def value(broker: Broker, name: str, **labels: Any) -> Any:
    metric = broker.metrics.get_metric(name)
    found = [one for one in metric.told()["values"] if labels.items() <= one["labels"].items()]
    return found[0] if found else None


async def test_calls_and_events_are_counted_and_timed(namespace: str) -> None:
    broker = node(namespace, True)
    async with broker:
        for fail in (False, False, True):
            try:
                await broker.call("it.act", {"fail": fail})
            except MoleculerClientError:
                pass
        await broker.emit("told.one")
        await broker.broadcast("told.two")
        listed = await broker.call("$node.metrics")
    labels = {"service": "it", "action": "it.act", "type": "local", "caller": None}
    assert value(broker, "moleculer.request.total", **labels)["value"] == 3
    assert value(broker, "moleculer.request.active", **labels)["value"] == 0
    failed = value(broker, "moleculer.request.error.total", action="it.act")
    assert (failed["value"], failed["labels"]["errorCode"], failed["labels"]["errorType"]) == (1, 422, "NO")
    timed = value(broker, "moleculer.request.time", action="it.act")
    assert timed["count"] == 3 and timed["min"] <= timed["quantiles"]["0.5"] <= timed["max"]
    assert value(broker, "moleculer.event.received.total", event="told.*", group="all")["value"] == 2
    assert value(broker, "moleculer.event.emit.total", event="told.one")["value"] == 1
    assert any(one["name"] == "process.memory.rss" and one["values"][0]["value"] > 1e6 for one in listed)


async def test_prometheus_reads_them(namespace: str) -> None:
    broker = node(namespace, PROMETHEUS)
    async with broker:
        await broker.call("it.act")
        # The middleware that serves them is the first of all.
        hooks: Any = broker.middlewares._hooks["starting"]
        server = next(hook.__self__.servers[0] for hook in hooks if hasattr(hook.__self__, "servers"))
        host, port = server.address
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://{host}:{port}/metrics")
            assert (await client.get(f"http://{host}:{port}/other")).status_code == 404
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    line = re.compile(r'[a-z_0-9]+(_bucket|_sum|_count)?\{([a-zA-Z_0-9]+="([^"\\]|\\.)*",?)*\} (NaN|-?[\d.e+-]+)')
    assert all(one.startswith("#") or line.fullmatch(one) for one in lines)
    total = next(one for one in lines if one.startswith("moleculer_request_total{"))
    assert 'nodeID="one"' in total and 'action="it.act"' in total and total.endswith(" 1")
    assert "# TYPE moleculer_request_time histogram" in lines
    assert any(one.startswith("moleculer_request_time_bucket") and 'le="+Inf"' in one for one in lines)


async def test_names_and_keys_are_those_of_moleculer(at_redis: Meeting) -> None:
    js = await asyncio.to_thread(lambda: at_redis.js("4", "theirs", services=["math"], metrics=True))
    broker = Broker("ours", transporter=at_redis.url, namespace=at_redis.namespace, metrics=True)
    async with broker:
        await broker.wait_for_services(["math"], 10_000)
        assert await broker.call("math.add", {"a": 1, "b": 2}) == 3
        theirs = {one["name"]: one for one in await asyncio.to_thread(js.ask, "metrics")}
        ours = {one["name"]: one for one in broker.metrics.list()}
    shared = [name for name in ours if name in theirs and name.startswith("moleculer.request")]
    assert "moleculer.request.total" in shared and "moleculer.request.time" in shared
    for name in shared:
        assert (ours[name]["type"], ours[name]["labelNames"]) == (theirs[name]["type"], theirs[name]["labelNames"])
    remote = [one for one in ours["moleculer.request.total"]["values"] if one["labels"]["type"] == "remote"]
    assert [one["labels"]["action"] for one in remote] == ["math.add"]


def test_a_registry_keeps_what_it_is_told() -> None:
    registry = MetricRegistry()
    registry.register({"name": "shop.orders", "type": "counter", "labelNames": ["kind"]})
    registry.increment("shop.orders", {"kind": "a"}, 2)
    registry.set("shop.open", True)
    registry.observe("shop.time", 7)
    assert registry.timer("shop.time")() >= 0
    assert [one["name"] for one in registry.list(types="counter")] == ["shop.orders"]
    assert [one["name"] for one in registry.list(includes="shop.*", excludes="*.time")] == ["shop.orders", "shop.open"]
    with pytest.raises(ValueError, match="only grows"):
        registry.get_metric("shop.orders").decrement()  # type: ignore[union-attr]
    registry.reset("shop.orders")
    assert registry.list(types="counter")[0]["values"] == []
    with pytest.raises(BrokerOptionsError, match="none of counter"):
        registry.register({"name": "x", "type": "odd"})


async def test_a_port_that_is_taken_is_told() -> None:
    first = PrometheusServer(lambda naming: "", port=0)
    await first.start()
    with pytest.raises(Exception, match="give another port"):
        await PrometheusServer(lambda naming: "", port=first.address[1]).start()
    await first.close()


def test_what_is_no_reporter_is_refused() -> None:
    with pytest.raises(BrokerOptionsError, match="Prometheus"):
        Broker("one", transporter="memory", metrics={"reporter": "Carrier pigeon"})
