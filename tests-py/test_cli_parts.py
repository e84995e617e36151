"""The parts of the command that need no service: how it reads words, and how it shows values."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import uuid
from pathlib import PurePosixPath
from typing import Any

import pytest
import typer
from ironbridge.cli import show, words


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (59.9, "59s"), (61, "1m 1s"), (3600, "1h 0m"), (90061, "1d 1h"), (-1, "0s")],
)
def test_an_uptime_has_its_two_largest_units(seconds: float, shown: str) -> None:
    assert show.uptime(seconds) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(8.12e-6, "8.1 µs"), (1.2e-3, "1.20 ms"), (2, "2.00 s")])
def test_a_short_time_has_a_fitting_unit(seconds: float, shown: str) -> None:
    assert show.micros(seconds) == shown


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    tags: set[str]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ((1, 2.5, None, True, "ü"), [1, 2.5, None, True, "ü"]),
        ({1: {b"\x00"}}, {"1": ["AA=="]}),
        (Colour.RED, "red"),
        (Point(1, {"a"}), {"x": 1, "tags": ["a"]}),
        (datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC), "2026-01-02T03:04:00+00:00"),
        (datetime.timedelta(minutes=1), 60.0),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("/tmp/x"), "/tmp/x"),
        (10**40, 10**40),
        (1 + 2j, "(1+2j)"),
    ],
)
def test_json_is_made_of_any_value(value: Any, said: Any, capsys: pytest.CaptureFixture[str]) -> None:
    show.as_json(value)
    assert json.loads(capsys.readouterr().out) == said


def test_text_is_printed_as_it_is_and_nothing_for_none(capsys: pytest.CaptureFixture[str]) -> None:
    show.value("[bold]not markup[/bold]")
    show.value(None)
    assert capsys.readouterr().out == "[bold]not markup[/bold]\n"


def test_a_word_is_json_or_text() -> None:
    assert [words.value(word) for word in ("1", "true", '"1"', "[1]", "hello", "1 2")] == [
        1,
        True,
        "1",
        [1],
        "hello",
        "1 2",
    ]


def test_arguments_are_a_list_or_an_object() -> None:
    assert words.arguments(None, "--init") == ([], {})
    assert words.arguments('["x", 1]', "--init") == (["x", 1], {})
    assert words.arguments('{"x": 1}', "--init") == ([], {"x": 1})
    for wrong in ("3", "{", '"x"'):
        with pytest.raises(typer.BadParameter):
            words.arguments(wrong, "--init")
