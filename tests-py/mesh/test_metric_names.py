"""Which metrics reporters tell of, and under which names: the options that Moleculer's reporters have alike."""

from __future__ import annotations

import asyncio
import csv
import os
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import Redis
from ironbridge._mesh.metrics.naming import Naming
from ironbridge._mesh.metrics.prometheus import PrometheusServer
from ironbridge._mesh.metrics.registry import MetricRegistry
from ironbridge._mesh.metrics.reporters import ConsoleReporter, Reporter
from ironbridge.mesh import Broker, BrokerOptionsError

from mesh.inbox import Inbox
from mesh.peers import JsNode

NAMES = ["shop.orders.total", "shop.orders.time", "shop.open", "office.orders.total"]


def snaked(name: str) -> str:
    return "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in name)


def loud(name: str) -> str:
    return name.upper()


FORMATS: dict[str, Any] = {"metricNamePrefix": "a.", "metricNameFormatter": loud, "labelNameFormatter": snaked}


def node(namespace: str, kind: str, metrics: dict[str, Any] | None = None, **options: Any) -> Broker:
    told = {"includes": "shop.**", **options}
    if kind != "Prometheus":
        told.setdefault("interval", 0)
    whole = {"reporter": {"type": kind, "options": told}, **(metrics or {})}
    broker = Broker("one", transporter="memory", namespace=namespace, metrics=whole)
    broker.metrics.register({"name": "shop.orders.total", "type": "counter", "labelNames": ["soldBy"]})
    broker.metrics.register({"name": "shop.orders.time", "type": "histogram", "labelNames": ["soldBy"]})
    broker.metrics.increment("shop.orders.total", {"soldBy": "Ann & Bob"}, 2)
    broker.metrics.observe("shop.orders.time", 7, {"soldBy": "Ann & Bob"})
    return broker


def reporter_of(broker: Broker) -> Any:
    hooks: Any = broker.middlewares._hooks["stopping"]
    return next(hook.__self__.servers[0] for hook in hooks if hasattr(hook.__self__, "servers"))


@pytest.fixture(scope="module")
def original(redis: Redis) -> Iterator[JsNode]:
    url = f"redis://{redis.host}:{redis.port}"
    with JsNode("4", url, "oracle", services=[], namespace="metrics", metrics=True) as node:
        yield node


# ---- the choice --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, NAMES),
        ({"includes": "shop.*"}, ["shop.open"]),
        ({"includes": "shop.**"}, NAMES[:3]),
        ({"includes": ["*.orders.total", "shop.open"]}, [NAMES[0], NAMES[2], NAMES[3]]),
        ({"includes": "shop.**", "excludes": "**.time"}, [NAMES[0], NAMES[2]]),
        ({"excludes": ["shop.orders.*", "office.**"]}, ["shop.open"]),
        ({"includes": "sh?p.open"}, ["shop.open"]),
        ({"includes": []}, NAMES),
    ],
)
def test_patterns_choose_as_they_do_at_moleculers_registry(
    options: dict[str, Any], wanted: list[str], original: JsNode
) -> None:
    patterns = {name: value for name, value in options.items() if value != []}
    theirs = original.ask("matchMetrics", names=NAMES, options=patterns)
    naming = Naming(**options)
    assert [name for name in NAMES if naming.wants(name, "counter")] == wanted == theirs


def test_types_choose_too() -> None:
    registry = MetricRegistry()
    for name, kind in zip(NAMES, ("counter", "histogram", "gauge", "info"), strict=True):
        registry.register({"name": name, "type": kind})
    assert [one["name"] for one in registry.list(types=["gauge", "info"])] == NAMES[2:]
    assert [one["name"] for one in registry.list(types="histogram", includes="shop.**")] == [NAMES[1]]
    with pytest.raises(BrokerOptionsError, match="types='counters'"):
        registry.list(types="counters")


# ---- the names ---------------------------------------------------------------------------------------------------


async def test_prometheus_reads_the_names_that_formatters_give_of_the_metrics_that_are_wanted(namespace: str) -> None:
    labels = {"shopName": "corner"}
    broker = node(namespace, "Prometheus", port=0, types=["counter"], defaultLabels=labels, **FORMATS)
    async with broker:
        server: PrometheusServer = reporter_of(broker)
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        text = (await reader.read()).decode().partition("\r\n\r\n")[2]
        writer.close()
    assert text.splitlines() == [
        "# TYPE A_SHOP_ORDERS_TOTAL counter",
        'A_SHOP_ORDERS_TOTAL{shop_name="corner",sold_by="Ann & Bob"} 2',
    ]


async def test_the_console_tells_formatted_names_and_what_has_changed_alone(namespace: str) -> None:
    lines: list[str] = []
    labels: dict[str, Any] = {
        "logger": lines.append,
        "types": "counter",
        "defaultLabels": lambda registry: {"metricCount": 2},
    }
    broker = node(namespace, "Console", **labels, **FORMATS)
    async with broker:
        reporter = reporter_of(broker)
        await reporter.tell()
        await reporter.tell()
        assert lines == ["A.SHOP.ORDERS.TOTAL {metric_count:2, sold_by:Ann & Bob}: 2"]
        broker.metrics.increment("shop.orders.total", {"soldBy": "Ann & Bob"})
        await reporter.tell()
        assert lines[1:] == ["A.SHOP.ORDERS.TOTAL {metric_count:2, sold_by:Ann & Bob}: 3"]
    assert len(lines) == 2


async def test_the_console_tells_all_when_that_is_wanted(namespace: str) -> None:
    lines: list[str] = []
    async with node(namespace, "Console", logger=lines.append, onlyChanges=False, types="counter") as broker:
        await reporter_of(broker).tell()
        await reporter_of(broker).tell()
    assert len(lines) == 3 and len(set(lines)) == 1


async def test_an_event_tells_formatted_names_and_what_has_changed_alone_when_that_is_wanted(namespace: str) -> None:
    heard: list[Any] = []
    broker = node(namespace, "Event", onlyChanges=True, **FORMATS)
    broker.create_service({"name": "listener", "events": {"$metrics.snapshot": lambda ctx: heard.append(ctx.params)}})
    async with broker:
        await broker.wait_for_services("listener", 5000)
        await reporter_of(broker).tell()
        broker.metrics.increment("shop.orders.total", {"soldBy": "Ann & Bob"})
        await reporter_of(broker).tell()
        # Nothing has changed: there is no event.
        await reporter_of(broker).tell()
    assert [[one["name"] for one in told] for told in heard] == [
        ["A.SHOP.ORDERS.TOTAL", "A.SHOP.ORDERS.TIME"],
        ["A.SHOP.ORDERS.TOTAL"],
    ]
    assert heard[0][0]["labelNames"] == ["sold_by"]
    assert heard[0][0]["values"] == [{"value": 2, "labels": {"sold_by": "Ann & Bob"}}]


async def test_datadog_and_statsd_get_formatted_names_and_tags(namespace: str) -> None:
    async with Inbox() as datadog:
        options = {"baseUrl": f"{datadog.url}/api/", "apiKey": "k", **FORMATS}
        async with node(namespace, "Datadog", **options) as broker:
            broker.metrics.observe("shop.orders.time", 9, {"soldBy": "Ann & Bob"})
        [(_, _, body)] = await datadog.wait()
    told = {one["metric"]: one for one in body["series"]}
    assert "sold_by:Ann & Bob" in told["A.SHOP.ORDERS.TOTAL"]["tags"]
    assert told["A.SHOP.ORDERS.TIME.VARIANCE"]["points"][0][1] == statistics.variance([7, 9])
    assert told["A.SHOP.ORDERS.TIME.STDDEV"]["points"][0][1] == statistics.stdev([7, 9])


# ---- files -------------------------------------------------------------------------------------------------------


def rows(file: Path, **options: Any) -> list[dict[str, str]]:
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened, **options))


async def test_files_by_label_are_in_a_folder_of_each_metric(namespace: str, tmp_path: Path) -> None:
    async with node(namespace, "CSV", folder=str(tmp_path), mode="label", delimiter=";", **FORMATS):
        pass
    name = "A.SHOP.ORDERS.TIME"
    [row] = rows(tmp_path / name / f"{name}--sold_by=Ann__Bob.csv", delimiter=";")
    assert (row["Metric"], row["Label soldBy"], row["Count"], row["StdDev"]) == (name, "Ann & Bob", "1", "")
    titles = list(row)
    assert titles[2:5] == ["Label soldBy", "Count", "Sum"] and titles[-10:-5] == ["Min", "Mean", "Var", "StdDev", "Max"]


async def test_files_and_rows_are_what_formatters_make_of_them(namespace: str, tmp_path: Path) -> None:
    def row(data: list[Any], headers: list[str], metric: Any, value: Any) -> None:
        headers.append("Type")
        data.append(metric["type"])
        data[1] = len(value["labels"])

    def file(name: str, metric: Any, value: Any) -> str:
        return f"by/{metric['type']}.txt"

    options: dict[str, Any] = {
        "rowFormatter": row,
        "filenameFormatter": file,
        "rowDelimiter": "\r\n",
        "types": "counter",
    }
    async with node(namespace, "CSV", folder=str(tmp_path), **options):
        pass
    assert (tmp_path / "by" / "counter.txt").read_bytes().count(b"\r\n") == 2
    [told] = rows(tmp_path / "by" / "counter.txt")
    assert (told["Metric"], told["Value"], told["Type"]) == ("1", "2", "counter")
    assert os.listdir(tmp_path) == ["by"]


# ---- the registry ------------------------------------------------------------------------------------------------


async def test_process_metrics_can_be_left_out_and_metrics_be_off(namespace: str) -> None:
    async with node(namespace, "Console", {"collectProcessMetrics": False}) as broker:
        names = {one["name"] for one in await broker.call("$node.metrics")}
        assert broker.metrics.get_metric("moleculer.registry.nodes.total").get() == 1
    assert not {one for one in names if one.startswith(("process.", "os."))}
    assert "moleculer.request.total" in names
    assert Broker("two", transporter="memory", metrics={"enabled": False}).metrics is None


def test_histograms_are_told_as_moleculer_tells_them(original: JsNode) -> None:
    values = [1, 7, 7.5, 30, 12_000]
    theirs = original.ask("histogram", values=values)
    registry = MetricRegistry()
    registry.register({"name": "spread", "type": "histogram"})
    for value in values:
        registry.observe("spread", value)
    [ours] = registry.list()[0]["values"]
    for name in ("count", "sum", "lastValue", "min", "max", "mean", "variance", "stdDev", "quantiles", "buckets"):
        assert ours[name] == pytest.approx(theirs[name]), name


@pytest.mark.parametrize(
    ("kind", "options", "why"),
    [
        ("Prometheus", {"colour": 1}, "colour"),
        ("Prometheus", {"metricNameFormatter": "upper"}, "metric_name_formatter='upper' is no function"),
        ("Console", {"labelNameFormatter": 1}, "label_name_formatter=1"),
        ("CSV", {"mode": "row"}, "mode='row'"),
        ("Event", {"types": ["odd"]}, "there are counter"),
    ],
)
def test_what_cannot_be_told_is_refused(kind: str, options: Any, why: str) -> None:
    with pytest.raises(BrokerOptionsError, match=why):
        Broker("one", transporter="memory", metrics={"reporter": {"type": kind, "options": options}})


def test_a_reporter_of_one_s_own_has_the_same_names() -> None:
    class Own(Reporter):
        async def report(self, metrics: list[dict[str, Any]]) -> None: ...

    own = Own(metric_name_suffix=".x", metric_name_formatter=loud, label_name_formatter=snaked)
    assert (own.named("a.b"), own.naming.label("aB")) == ("A.B.X", "a_b")
    assert ConsoleReporter(colors=True).named("a") == "a"
