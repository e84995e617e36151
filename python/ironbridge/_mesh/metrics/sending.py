"""Metrics sent to services that draw them: Datadog, and StatsD."""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections.abc import Iterator
from typing import Any

from ..errors import BrokerOptionsError
from ..tracing.posting import address, post
from .reporters import Reporter

_LARGEST = 1300
"""Bytes of a datagram, so that no network has to cut it."""


def _numbers(metric: dict[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """`(what is added to the name, number, labels)` of each value."""
    for value in metric["values"]:
        labels = value["labels"]
        if metric["type"] == "histogram":
            yield from ((f".bucket_{bound}", count, labels) for bound, count in value["buckets"].items())
            yield ".bucket_inf", value["count"], labels
            yield from ((f".q{one}", number, labels) for one, number in value["quantiles"].items())
            yield from ((f".{one}", value[one], labels) for one in ("sum", "count", "min", "mean", "variance", "max"))
            yield ".stddev", value["stdDev"], labels
        elif metric["type"] != "info":
            yield "", value["value"], labels


class DatadogReporter(Reporter):
    """Posts to Datadog's series.

    Args:
        api_key: the environment's `DATADOG_API_KEY` unless given.
        base_url, api_version, path: where to.
        host: the host's name that is told.

    Raises:
        BrokerOptionsError: there is no key, or that is no URL.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str = "https://api.datadoghq.com/api/",
        api_version: str = "v1",
        path: str = "/series",
        host: str | None = None,
        interval: float = 10,
        **more: Any,
    ) -> None:
        super().__init__(interval, **more)
        self._key = api_key or os.environ.get("DATADOG_API_KEY")
        if not self._key:
            raise BrokerOptionsError("metrics: Datadog needs a key: give apiKey, or set DATADOG_API_KEY")
        self._url = f"{address(base_url, 'metrics: base_url')}/{api_version}{path}"
        self._host = host or platform.node()

    async def report(self, metrics: list[dict[str, Any]]) -> None:
        now = int(time.time())
        series = [
            {
                "metric": self.named(metric["name"] + added),
                "type": "rate" if metric["type"] == "histogram" else "gauge",
                "points": [[now, number]],
                "tags": self.tags(labels),
                "host": self._host,
            }
            for metric in metrics
            for added, number, labels in _numbers(metric)
            if number is not None
        ]
        # In a header, the key is in no log of addresses.
        await post(self._url, {"series": series}, {"DD-API-KEY": str(self._key)})


class StatsdReporter(Reporter):
    """Sends datagrams to StatsD, with labels as tags.

    Counters are told by how much they have grown since the time before, as StatsD adds them up.

    Args:
        host, port: where it listens.
        max_payload_size: bytes of a datagram at most.
    """

    def __init__(
        self, host: str = "localhost", port: int = 8125, max_payload_size: int = _LARGEST, **more: Any
    ) -> None:
        super().__init__(**more)
        self._place, self._largest = (host, port), max_payload_size
        self._before: dict[tuple[str, str], float] = {}

    async def report(self, metrics: list[dict[str, Any]]) -> None:
        lines = [line for metric in metrics for line in self._lines(metric)]
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=self._place
        )
        try:
            for datagram in self._datagrams(lines):
                transport.sendto(datagram)
        finally:
            transport.close()

    def _lines(self, metric: dict[str, Any]) -> Iterator[str]:
        for added, number, labels in _numbers(metric):
            if number is None:
                continue
            name, tags = self.named(metric["name"] + added), ",".join(self.tags(labels))
            kind, told = "g", number
            if metric["type"] == "counter":
                kind, told = "c", number - self._before.get((name, tags), 0)
                self._before[name, tags] = number
            yield f"{name}:{told}|{kind}|#{tags}"

    def _datagrams(self, lines: list[str]) -> Iterator[bytes]:
        packed = b""
        for line in lines:
            data = line.encode()
            if packed and len(packed) + 1 + len(data) > self._largest:
                yield packed
                packed = b""
            packed = packed + b"\n" + data if packed else data
        if packed:
            yield packed
