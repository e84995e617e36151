"""An event loop on a thread of its own, for a connector that is used without one."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .. import _engine

T = TypeVar("T")

_LAST = 1.0
_LOOK = 0.2
"""Seconds after which a thread that waits looks for signals: one that comes just before a wait does not end it."""


def wait_for(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    """Runs a coroutine on another thread's loop, and waits for it."""
    running = asyncio.run_coroutine_threadsafe(coroutine, loop)
    while True:
        try:
            return running.result(_LOOK)
        except TimeoutError:
            if running.done():
                raise


class Background:
    """A loop that runs until it is stopped, or until the program ends."""

    def __init__(self, name: str) -> None:
        self._runner = asyncio.Runner()
        self.loop = self._runner.get_loop()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        # The interpreter ends threads that still run Python by tearing down their stacks: not this one's.
        atexit.register(self._end_with_program)

    def _run(self) -> None:
        with self._runner:
            self._runner.run(self._ended.wait())
        atexit.unregister(self._end_with_program)

    def _end_with_program(self) -> None:
        _engine._program_ends()
        self.stop(_LAST)

    def do(self, function: Callable[[], T]) -> T:
        """Calls a function on the loop's thread, and waits for it."""

        async def call() -> T:
            return function()

        return wait_for(call(), self.loop)

    def end(self) -> None:
        """On the loop's thread: it ends, and what still runs on it."""
        self._ended.set()

    def stop(self, timeout: float) -> None:
        """On another thread: the same, and waits for it, for so many seconds."""
        try:
            self.loop.call_soon_threadsafe(self.end)
        except RuntimeError:
            pass  # it has ended already
        self._thread.join(timeout)
