"""What a user should know before it hurts, said once in each process."""

from __future__ import annotations

import logging
from collections.abc import Iterable

_said: set[str] = set()


def say(log: logging.Logger, warnings: Iterable[str]) -> None:
    """Logs those that were not said before."""
    for warning in warnings:
        if warning not in _said:
            _said.add(warning)
            log.warning("%s", warning)
