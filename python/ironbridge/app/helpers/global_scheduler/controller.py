"""The action that runs registered functions."""

from __future__ import annotations

from . import SCHEDULER_CRON, GlobalScheduler, GlobalSchedulerController

__all__ = ["SCHEDULER_CRON", "GlobalScheduler", "GlobalSchedulerController"]
