"""Metrics written to CSV files, a row for each value that has changed."""

from __future__ import annotations

import asyncio
import csv
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .reporters import Reporter

_OF_HISTOGRAM = ("count", "sum", "min", "mean", "max")


class CsvReporter(Reporter):
    """Appends to a file for each metric, named after it.

    The first columns are the time in milliseconds since 1970, the metric and its labels, as in Moleculer's files.

    Args:
        folder: where the files are; it is made when there is none.
        delimiter: between two columns.
    """

    def __init__(self, folder: str = "./reports/metrics", delimiter: str = ",", **more: Any) -> None:
        super().__init__(**more)
        self._folder, self._delimiter = Path(folder), delimiter
        self._before: dict[tuple[Any, ...], dict[str, Any]] = {}

    async def report(self, metrics: list[dict[str, Any]]) -> None:
        now = int(time.time() * 1000)
        files = {}
        for metric in metrics:
            rows = [self._row(metric, value, now) for value in metric["values"] if self._has_changed(metric, value)]
            if rows:
                files[self.named(metric["name"])] = rows
        await asyncio.to_thread(self._append, files)

    def _has_changed(self, metric: dict[str, Any], value: dict[str, Any]) -> bool:
        key = (metric["name"], *value["labels"].values())
        before, self._before[key] = self._before.get(key), value
        return before != value

    def _row(self, metric: dict[str, Any], value: Mapping[str, Any], now: int) -> dict[str, Any]:
        row = {"Timestamp": now, "Metric": self.named(metric["name"])}
        row.update({f"Label {name}": told for name, told in value["labels"].items()})
        if metric["type"] != "histogram":
            return {**row, "Value": value["value"]}
        row.update({name.capitalize(): value[name] for name in _OF_HISTOGRAM})
        row.update({f"Bucket_{bound}": count for bound, count in value["buckets"].items()})
        row.update({f"Quantile_{share}": number for share, number in value["quantiles"].items()})
        return row

    def _append(self, files: Mapping[str, list[dict[str, Any]]]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, rows in files.items():
            # A name of the user's own must not lead out of the folder.
            with (self._folder / f"{name.replace('/', '_')}.csv").open("a", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]), delimiter=self._delimiter, lineterminator="\n")
                if not file.tell():
                    writer.writeheader()
                writer.writerows(rows)
