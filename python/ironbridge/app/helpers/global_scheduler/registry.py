"""The functions that are registered."""

from __future__ import annotations

from . import GlobalSchedulerRegistry

__all__ = ["GlobalSchedulerRegistry"]
