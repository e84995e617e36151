"""What middlewares begin beside the calls; it ends with the broker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any


class Tasks:
    """Tasks, and a logger for those that fail."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._running: set[asyncio.Task[Any]] = set()

    def begin(self, coroutine: Coroutine[Any, Any, Any], what: str) -> None:
        """Begins it; `what` it is, for the log."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(lambda ended: self._ended(ended, what))

    def _ended(self, task: asyncio.Task[Any], what: str) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._logger.error("%s has failed", what, exc_info=error)

    async def end(self, patience: float = 1.0) -> None:
        """Cancels what runs, and waits for its end, for so many seconds at most."""
        running = list(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=patience)
