"""Lines that were typed, as commands: words, options, and the parameters that they mean."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from typing import Any


class WrongLine(ValueError):
    """A line that is no command; the message says why."""


@dataclass
class Line:
    """A command.

    Attributes:
        command: its name.
        words: what comes after it, without options.
        options: `--name value`, `--name` alone being `True`; a value is JSON where it is JSON, else a text.
        meta: those that begin with `#`.
    """

    command: str
    words: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)

    def params(self, at: int) -> Any:
        """The parameters: the JSON in a word, or the options, of which `a.b` is within `a`.

        Raises:
            WrongLine: the word is no JSON.
        """
        if len(self.words) > at:
            text = " ".join(self.words[at:])
            try:
                return json.loads(text)
            except ValueError as error:
                raise WrongLine(f"{text!r} is no JSON: {error}") from None
        return _nested(self.options)


def read(text: str) -> Line:
    """A line.

    Raises:
        WrongLine: a quotation is not ended.
    """
    head, inner = _apart(text)
    try:
        words = shlex.split(head)
    except ValueError as error:
        raise WrongLine(f"{error}: {text!r}") from None
    line = Line(words[0] if words else "")
    index = 1
    while index < len(words):
        word = words[index]
        index += 1
        if not word.startswith(("--", "#")) or word == "--":
            line.words.append(word)
            continue
        target = line.meta if word.startswith("#") else line.options
        name, mark, value = word.lstrip("-#").partition("=")
        if not mark and index < len(words) and not words[index].startswith(("--", "#")):
            value, mark = words[index], "="
            index += 1
        target[name] = _value(value) if mark else True
    if inner:
        line.words.append(inner)
    return line


def _apart(text: str) -> tuple[str, str]:
    """A line without its JSON, and that: it is one word, quotes, spaces and all."""
    at = text.find(" {")
    if at < 0:
        return text, ""
    try:
        _, end = json.JSONDecoder().raw_decode(text, at + 1)
    except (ValueError, RecursionError):
        # What is meant for JSON is told as such.
        return (text[:at], text[at + 1 :].strip()) if text.rstrip().endswith("}") else (text, "")
    return f"{text[:at]} {text[end:]}", text[at + 1 : end]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _nested(options: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in options.items():
        inner = found
        *outer, last = name.split(".")
        for part in outer:
            step = inner.setdefault(part, {})
            if not isinstance(step, dict):
                step = inner[part] = {}
            inner = step
        inner[last] = value
    return found
