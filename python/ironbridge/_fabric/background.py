"""An event loop on a thread of its own, for a connector that is used without one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Background:
    """A loop that runs until it is stopped."""

    def __init__(self, name: str) -> None:
        self._runner = asyncio.Runner()
        self.loop = self._runner.get_loop()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._runner:
            self._runner.run(self._ended.wait())

    def do(self, function: Callable[[], T]) -> T:
        """Calls a function on the loop's thread, and waits for it."""

        async def call() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result()

    def end(self) -> None:
        """On the loop's thread: it ends, and what still runs on it."""
        self._ended.set()

    def stop(self, timeout: float) -> None:
        """On another thread: the same, and waits for it, for so many seconds."""
        self.loop.call_soon_threadsafe(self.end)
        self._thread.join(timeout)
