"""Which traces are kept."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ..errors import BrokerOptionsError
from ..schema import snake


class Sampling:
    """Decides for each trace that begins here; the other nodes of its request go by that.

    Args:
        options: Moleculer's: `rate` (1.0: all; 0.1: each tenth; 0: none), `traces_per_second` (in its place),
            `min_priority` (spans below it never).

    Raises:
        BrokerOptionsError: one of them is wrong, or unknown.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        told = {snake(str(name)): value for name, value in (options or {}).items()}
        self.rate: float = _number(told, "rate", 1.0)
        self.traces_per_second: float | None = _number(told, "traces_per_second", None)
        self.min_priority: float | None = _number(told, "min_priority", None)
        if told:
            raise BrokerOptionsError(
                f"tracing: sampling has no {', '.join(told)}; there are rate, traces_per_second and min_priority"
            )
        if not 0 <= self.rate <= 1:
            raise BrokerOptionsError(f"tracing: sampling has rate={self.rate}; it is a share, between 0 and 1")
        self._counted = 0.0
        self._credit, self._seen = 0.0, time.monotonic()

    def keeps(self, priority: float) -> bool:
        """Whether a trace that begins with a span of this priority is kept."""
        if self.min_priority is not None and priority < self.min_priority:
            return False
        if self.traces_per_second:
            return self._has_credit(self.traces_per_second)
        # Evenly spread: of a rate of 0.25, each fourth.
        self._counted += self.rate
        if self._counted < 1:
            return False
        self._counted -= 1
        return True

    def _has_credit(self, per_second: float) -> bool:
        now = time.monotonic()
        self._credit = min(max(1.0, per_second), self._credit + (now - self._seen) * per_second)
        self._seen = now
        if self._credit < 1:
            return False
        self._credit -= 1
        return True


def _number(told: dict[str, Any], name: str, usual: Any) -> Any:
    value = told.pop(name, usual)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and value >= 0):
        return usual if value is None else value
    raise BrokerOptionsError(f"tracing: sampling has {name}={value!r}; it is a number that is not negative")
