"""The words of a command line as values: JSON where they are JSON, else text."""

from __future__ import annotations

import json
from typing import Any

import typer


def value(word: str) -> Any:
    """`3`, `true`, `[1,2]`, `"3"` as JSON says; any other word is text."""
    try:
        return json.loads(word)
    except ValueError:
        return word


def arguments(text: str | None, option: str) -> tuple[list[Any], dict[str, Any]]:
    """Arguments given as one JSON text: a list holds positional ones, an object named ones."""
    if text is None:
        return [], {}
    try:
        given = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint=option) from None
    if isinstance(given, list):
        return given, {}
    if isinstance(given, dict):
        return [], given
    raise typer.BadParameter("a JSON list or object is wanted", param_hint=option)
