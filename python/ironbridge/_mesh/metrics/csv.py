"""Metrics written to CSV files, a row for each value that has changed."""

from __future__ import annotations

import asyncio
import csv
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import BrokerOptionsError
from ..validation.javascript import text
from .reporters import Reporter

_SPREAD = (("Min", "min"), ("Mean", "mean"), ("Var", "variance"), ("StdDev", "stdDev"), ("Max", "max"))
_SPACE, _UNWANTED = re.compile(r"\s"), re.compile(r"[|&:;$%@\"<>()+,/?]")


class CsvReporter(Reporter):
    """Appends to a file for each metric, named after it.

    The first columns are the time in milliseconds since 1970, the metric and its labels, as in Moleculer's files.

    Args:
        folder: where the files are; it is made when there is none.
        delimiter, row_delimiter: between two columns, and after each row.
        mode: `metric`: a file for each metric; `label`: one for each set of labels, in a folder for each metric.
        filename_formatter: gives a file, within the folder, for a metric's name, the metric and one of its values.
        row_formatter: called with `(data, headers, metric, value)` of each row; it may change both lists.

    Raises:
        BrokerOptionsError: there is no such mode.
    """

    def __init__(
        self,
        folder: str = "./reports/metrics",
        delimiter: str = ",",
        row_delimiter: str = "\n",
        mode: str = "metric",
        filename_formatter: Callable[[str, Mapping[str, Any], Mapping[str, Any]], str] | None = None,
        row_formatter: Callable[..., Any] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        if mode not in ("metric", "label"):
            raise BrokerOptionsError(f"metrics: mode={mode!r}: there are metric and label")
        self._folder, self._delimiter, self._ends = Path(folder), delimiter, row_delimiter
        self._is_by_label, self._file_of, self._changes_row = mode == "label", filename_formatter, row_formatter
        self._before: dict[tuple[Any, ...], dict[str, Any]] = {}

    async def report(self, metrics: list[dict[str, Any]]) -> None:
        now = int(time.time() * 1000)
        files: dict[Path, list[tuple[list[str], list[Any]]]] = {}
        for metric in metrics:
            for value in metric["values"]:
                if self._has_changed(metric, value):
                    files.setdefault(self._file(metric, value), []).append(self._row(metric, value, now))
        await asyncio.to_thread(self._append, files)

    def _file(self, metric: dict[str, Any], value: Mapping[str, Any]) -> Path:
        name = self.named(metric["name"])
        if self._file_of is not None:
            return self._folder / self._file_of(name, metric, value)
        # A name of the user's own must not lead out of the folder.
        name = name.replace("/", "_")
        if not self._is_by_label:
            return self._folder / f"{name}.csv"
        labels = "--".join(f"{self.naming.label(key)}={text(one)}" for key, one in value["labels"].items())
        labels = _UNWANTED.sub("", _SPACE.sub("_", labels))
        return self._folder / name / f"{name}{'--' if labels else ''}{labels}.csv"

    def _has_changed(self, metric: dict[str, Any], value: dict[str, Any]) -> bool:
        key = (metric["name"], *value["labels"].values())
        before, self._before[key] = self._before.get(key), value
        return before != value

    def _row(self, metric: dict[str, Any], value: Mapping[str, Any], now: int) -> tuple[list[str], list[Any]]:
        row: dict[str, Any] = {"Timestamp": now, "Metric": self.named(metric["name"])}
        row.update({f"Label {name}": told for name, told in value["labels"].items()})
        if metric["type"] != "histogram":
            row["Value"] = value["value"]
        else:
            row.update({"Count": value["count"], "Sum": value["sum"]})
            row.update({f"Bucket_{bound}": count for bound, count in value["buckets"].items()})
            row.update({title: value[name] for title, name in _SPREAD})
            row.update({f"Quantile_{share}": number for share, number in value["quantiles"].items()})
        headers, data = list(row), list(row.values())
        if self._changes_row is not None:
            self._changes_row(data, headers, metric, value)
        return headers, data

    def _append(self, files: Mapping[Path, list[tuple[list[str], list[Any]]]]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for path, rows in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", newline="") as file:
                writer = csv.writer(file, delimiter=self._delimiter, lineterminator=self._ends)
                if not file.tell():
                    writer.writerow(rows[0][0])
                writer.writerows(data for _, data in rows)
