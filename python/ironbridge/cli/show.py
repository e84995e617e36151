"""The one look of every command: tables for people, JSON for programs, one line for a failure."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time, timedelta
from enum import Enum
from pathlib import PurePath
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead, for programs.")]

_out = Console(highlight=False)
_err = Console(stderr=True, highlight=False)


# Whoever writes a text that is shown must not be able to drive the terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[str] = ()) -> None:
    """Prints rows under headings; the columns named in `right` are flush right."""
    grid = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(
            column, justify="right" if column in right else "left", no_wrap=column in right, overflow="fold"
        )
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    _out.print(grid)


def line(text: str, style: str = "") -> None:
    """Prints one line, without reading markup in it."""
    _out.print(Text(text, style=style))


def parts(*parts: tuple[str, str]) -> None:
    """Prints texts beside each other, each in its style; what is empty is left out, and no sign moves the cursor."""
    shown = (Text(_CONTROL.sub(_escaped, text), style=style) for text, style in parts if text)
    _out.print(Text(" ").join(shown), soft_wrap=True)


def note(text: str) -> None:
    """Says something beside the result, on stderr."""
    _err.print(Text(text, style="dim"), soft_wrap=True)


def fail(error: BaseException | str) -> None:
    """Tells a failure on stderr."""
    name = f"{type(error).__name__}: " if isinstance(error, BaseException) else ""
    _err.print(Text.assemble((name, "bold red"), str(error)), soft_wrap=True)


def as_json(value: object) -> None:
    """Prints a value as JSON on stdout."""
    json.dump(_plain(value), sys.stdout, indent=2, ensure_ascii=False, default=repr)
    sys.stdout.write("\n")


def as_json_line(value: object) -> None:
    """Prints a value as JSON on a line of its own, at once."""
    sys.stdout.write(json.dumps(_plain(value), ensure_ascii=False, default=repr) + "\n")
    sys.stdout.flush()


def value(result: object) -> None:
    """Prints what a call returned: text as it is, the rest as Python shows it."""
    if isinstance(result, str):
        sys.stdout.write(result + "\n")
    elif result is not None:
        _out.print(result, soft_wrap=True)


def uptime(seconds: float) -> str:
    """A duration in its two largest units: `3d 4h`, `12m 5s`."""
    whole = max(0, int(seconds))
    sizes = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    for index, (unit, size) in enumerate(sizes):
        if whole >= size and unit != "s":
            below, below_size = sizes[index + 1]
            return f"{whole // size}{unit} {whole % size // below_size}{below}"
    return f"{whole}s"


def micros(seconds: float) -> str:
    """A short time: `8.1 µs`, `1.20 ms`, `2.00 s`."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} µs"
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _escaped(sign: re.Match[str]) -> str:
    return repr(sign.group())[1:-1]


def _plain(value: object) -> Any:
    """What JSON can say of a value: bytes as base64, dates as ISO text, sets as lists, the rest as text."""
    if value is None or (isinstance(value, (bool, int, float, str)) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, PurePath):
        return str(value)
    return _plain(dump()) if callable(dump := getattr(value, "model_dump", None)) else str(value)
