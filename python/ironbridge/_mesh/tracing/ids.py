"""Ids of traces and spans as other tools have them: hexadecimal, of one length, made of Moleculer's."""

from __future__ import annotations

import hashlib
import re

_HEX = re.compile(r"[0-9a-f]+")
_TRACE, _SPAN = 32, 16


def trace_id(given: str) -> str:
    """A trace's: 32 digits. Of a UUID they are its own, so that all nodes make the same."""
    return _first(given, _TRACE)


def span_id(given: str) -> str:
    """A span's: 16 digits that stand for all of a UUID's."""
    return _mixed(given, _SPAN)


def zipkin_id(given: str) -> str:
    """A trace's or a span's for Zipkin: the first 16 digits, as Moleculer's own exporter has it."""
    return _first(given, _SPAN)


def _first(given: str, length: int) -> str:
    plain = given.replace("-", "").lower()
    if len(plain) < length or not _HEX.fullmatch(plain) or not plain[:length].strip("0"):
        # An id of the user's own. All zeros would mean that there is none.
        return _mixed(given, length)
    return plain[:length]


def _mixed(given: str, length: int) -> str:
    return hashlib.sha256(given.encode()).hexdigest()[:length]
