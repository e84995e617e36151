"""How registered functions run."""

from __future__ import annotations

from . import GlobalSchedulerConfig, GlobalSchedulerConfigAnnotated, GlobalSchedulerConfigToken

__all__ = ["GlobalSchedulerConfig", "GlobalSchedulerConfigAnnotated", "GlobalSchedulerConfigToken"]
