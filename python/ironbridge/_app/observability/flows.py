"""The flow that messages belong to, in W3C's baggage: `flow.id`, beside whatever else is in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_KEY = "flow.id"
_ID = re.compile("[0-9a-f]{32}")
_MOST = 8192
"""Bytes of baggage that its specification asks all to carry on."""


def flow_in(headers: Mapping[str, Any]) -> str | None:
    """The flow that headers tell of."""
    for name, value in _members(headers.get("baggage")):
        if name == _KEY and _ID.fullmatch(value):
            return value
    return None


def with_flow(baggage: Any, flow: str) -> str:
    """Baggage that tells of a flow, too."""
    others = [f"{name}={value}" for name, value in _members(baggage) if name != _KEY]
    return ",".join([f"{_KEY}={flow}", *others])


def _members(baggage: Any) -> list[tuple[str, str]]:
    if not isinstance(baggage, str) or len(baggage) > _MOST:
        return []
    parts = (one.partition("=") for one in baggage.split(","))
    return [(name.strip(), value.strip()) for name, mark, value in parts if mark]
