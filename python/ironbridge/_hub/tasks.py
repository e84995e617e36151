"""The tasks of a service: started with it, started again when they fail, cancelled at its end."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from .binding import Bound

Report = Callable[[BaseException, str], Coroutine[Any, Any, None] | None]


class Tasks:
    """Runs them on the running loop.

    Args:
        functions: the tasks by name; one that returns is done.
        report: is told of each failure.
        pauses: seconds before the first new start, and the longest that this grows to.
    """

    def __init__(
        self, functions: Mapping[str, Bound], report: Report, pauses: tuple[float, float], log: logging.Logger
    ) -> None:
        self._functions = functions
        self._report = report
        self._pauses = pauses
        self._log = log
        self._running: dict[asyncio.Task[None], str] = {}

    def start(self) -> None:
        """Starts them all."""
        for name, function in self._functions.items():
            task = asyncio.create_task(self._keep(name, function), name=f"ironbridge task {name}")
            self._running[task] = name

    async def stop(self, within: float) -> None:
        """Cancels those that still run, and waits up to `within` seconds for their ends."""
        running = [task for task in self._running if not task.done()]
        for task in running:
            task.cancel()
        if running:
            _, left = await asyncio.wait(running, timeout=within)
            for task in left:
                self._log.warning('task "%s" still runs %.1f s after it was cancelled', self._running[task], within)

    async def _keep(self, name: str, function: Bound) -> None:
        clock = asyncio.get_running_loop().time
        first, longest = self._pauses
        pause = first
        while True:
            began = clock()
            try:
                await function()
                return
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # Not this task: something that it waited for was cancelled.
                failure: BaseException = error
            except Exception as error:
                failure = error
            # One that ran for long was well.
            pause = first if clock() - began > longest else pause
            wait = random.uniform(pause / 2, pause)
            pause = min(pause * 2, longest)
            rest = self._report(failure, f'task "{name}"')
            if rest is not None:
                await rest
            self._log.info('task "%s" starts again in %.2f s', name, wait)
            await asyncio.sleep(wait)
