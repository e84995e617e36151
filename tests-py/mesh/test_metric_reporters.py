"""Who is told of metrics besides Prometheus: the log, files, an event, Datadog, StatsD."""

from __future__ import annotations

import asyncio
import csv
from pathlib import Path
from typing import Any

import pytest
from ironbridge.mesh import Broker, BrokerOptionsError, Context

from mesh.inbox import Inbox


def node(namespace: str, kind: str, **options: Any) -> Broker:
    told = {"interval": 0, "includes": "moleculer.request.*", **options}
    metrics = {"reporter": {"type": kind, "options": told}}
    broker = Broker("one", transporter="memory", namespace=namespace, metrics=metrics)
    broker.create_service({"name": "it", "actions": {"act": lambda ctx: 1}})
    return broker


async def test_the_console_is_told_a_line_of_each_value(namespace: str) -> None:
    lines: list[str] = []
    async with node(namespace, "Console", logger=lines.append, types=["counter"], metricNamePrefix="my.") as broker:
        await broker.call("it.act")
    [line] = [one for one in lines if one.startswith("my.moleculer.request.total ")]
    assert "nodeID:one" in line and "action:it.act" in line and line.endswith(": 1")
    assert not [one for one in lines if "request.time" in one]


async def test_an_event_tells_of_them_as_the_node_service_does(namespace: str) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()

    async def hears(ctx: Context) -> None:
        heard.put_nowait(ctx.params)

    broker = node(namespace, "Event", interval=0.05)
    broker.create_service({"name": "listener", "events": {"$metrics.snapshot": hears}})
    async with broker, asyncio.timeout(10):
        await broker.call("it.act")
        told: dict[str, Any] = {}
        while "moleculer.request.total" not in told:
            told = {one["name"]: one for one in await heard.get()}
    [value] = told["moleculer.request.total"]["values"]
    assert (value["value"], value["labels"]["action"]) == (1, "it.act")


async def test_files_get_a_row_of_each_value_that_has_changed(namespace: str, tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    async with node(namespace, "CSV", folder=str(folder)) as broker:
        [reporter] = [one.__self__.servers[0] for one in broker.middlewares._hooks["stopping"]]  # type: ignore[attr-defined]
        await broker.call("it.act")
        await reporter.tell()
        await reporter.tell()
        await broker.call("it.act")
    with (folder / "moleculer.request.total.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["Metric"], row["Label action"], row["Value"]) for row in rows] == [
        ("moleculer.request.total", "it.act", "1"),
        ("moleculer.request.total", "it.act", "2"),
    ]
    with (folder / "moleculer.request.time.csv").open(newline="") as file:
        assert [row["Count"] for row in csv.DictReader(file)] == ["1", "2"]


async def test_datadog_is_posted_series(namespace: str) -> None:
    async with Inbox() as datadog:
        options = {"baseUrl": f"{datadog.url}/api/", "apiKey": "k", "host": "h"}
        async with node(namespace, "Datadog", **options) as broker:
            await broker.call("it.act")
        [(path, headers, body)] = await datadog.wait()
    assert (path, headers["dd-api-key"]) == ("/api/v1/series", "k")
    told = {one["metric"]: one for one in body["series"]}
    total = told["moleculer.request.total"]
    assert (total["type"], total["points"][0][1], total["host"]) == ("gauge", 1, "h")
    assert {"nodeID:one", "action:it.act"} <= set(total["tags"])
    assert told["moleculer.request.time.count"]["points"][0][1] == 1


async def test_statsd_is_sent_datagrams_by_how_much_counters_have_grown(namespace: str) -> None:
    came: asyncio.Queue[bytes] = asyncio.Queue()

    class Takes(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            came.put_nowait(data)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Takes, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    options = {"host": "127.0.0.1", "port": port, "interval": 0.05, "includes": "moleculer.request.total"}
    try:
        async with node(namespace, "StatsD", **options) as broker, asyncio.timeout(10):
            await broker.call("it.act")
            first = (await came.get()).decode()
            second = (await came.get()).decode()
    finally:
        transport.close()
    assert first.startswith("moleculer.request.total:1|c|#") and "action:it.act" in first
    assert second.startswith("moleculer.request.total:0|c|#")


@pytest.mark.parametrize(
    ("kind", "options", "why"),
    [
        ("Datadog", {}, "DATADOG_API_KEY"),
        ("Event", {"colour": 1}, "colour"),
        ("Console", {"interval": -1}, "not negative"),
    ],
)
def test_a_reporter_that_is_told_wrong_is_refused(
    kind: str, options: Any, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATADOG_API_KEY", raising=False)
    with pytest.raises(BrokerOptionsError, match=why):
        Broker("one", transporter="memory", metrics={"reporter": {"type": kind, "options": options}})
