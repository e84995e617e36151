"""SIGTERM and Ctrl+C while services run: they drain, then the program goes on as it would without us.

- A signal that the program handles itself is left to it.
- Where `run()` is all that `asyncio.run()` runs, it returns once the service has drained.
- Where it is a part of a larger program, Ctrl+C stays asyncio's: everything is cancelled, and a cancelled `run()`
  drains. After any other signal, a program that goes on for a second after its services have ended gets it again.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

_PATIENCE = 1.0

_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = WeakKeyDictionary()


@contextmanager
def draining(stop: Callable[[], object]) -> Iterator[None]:
    """While the block runs, the first SIGTERM or Ctrl+C calls `stop`. Does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    watch = _watches.setdefault(loop, _Watch(loop))
    watch.join(stop)
    try:
        yield
    finally:
        if watch.leave(stop):
            del _watches[loop]


class _Watch:
    """The signal handlers of one loop, shared by all that run on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._stops: list[Callable[[], object]] = []
        self._previous: dict[signal.Signals, Any] = {}
        self._alone = False
        self._came: signal.Signals | None = None

    def join(self, stop: Callable[[], object]) -> None:
        if not self._stops:
            interrupt = signal.getsignal(signal.SIGINT)
            main = _main_task(interrupt)
            self._alone = main is not None and main is asyncio.current_task()
            if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                self._take(signal.SIGTERM)
            if self._alone or interrupt is signal.default_int_handler:
                self._take(signal.SIGINT)
        self._stops.append(stop)

    def leave(self, stop: Callable[[], object]) -> bool:
        """Whether it was the last."""
        self._stops.remove(stop)
        if self._stops:
            return False
        self._restore()
        if self._came is not None and not self._alone:
            self._loop.call_later(_PATIENCE, signal.raise_signal, self._came)
        return True

    def _take(self, number: signal.Signals) -> None:
        self._previous[number] = signal.getsignal(number)
        try:
            self._loop.add_signal_handler(number, self._told, number)
        except (NotImplementedError, RuntimeError, ValueError):
            # A loop without signals, or not the main interpreter's.
            del self._previous[number]

    def _restore(self) -> None:
        for number, previous in self._previous.items():
            self._loop.remove_signal_handler(number)
            signal.signal(number, previous)
        self._previous.clear()

    def _told(self, number: signal.Signals) -> None:
        # From here on a second signal does what it would without us.
        self._restore()
        self._came = number
        for stop in list(self._stops):
            stop()


def _main_task(handler: object) -> object:
    """The task that `asyncio.run()` runs, which its handler of Ctrl+C is to cancel."""
    return (getattr(handler, "keywords", None) or {}).get("main_task")
