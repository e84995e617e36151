"""One scheduled action for functions of anywhere."""

from __future__ import annotations

from ...._app.schedule.global_scheduler import (
    SCHEDULER_CRON,
    GlobalScheduler,
    GlobalSchedulerConfig,
    GlobalSchedulerConfigAnnotated,
    GlobalSchedulerConfigToken,
    GlobalSchedulerController,
    GlobalSchedulerRegistry,
)

__all__ = [
    "SCHEDULER_CRON",
    "GlobalScheduler",
    "GlobalSchedulerConfig",
    "GlobalSchedulerConfigAnnotated",
    "GlobalSchedulerConfigToken",
    "GlobalSchedulerController",
    "GlobalSchedulerRegistry",
]
