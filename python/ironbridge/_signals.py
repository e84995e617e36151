"""Ending in good order when the process is told to."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def until_signalled(event: asyncio.Event) -> Iterator[None]:
    """Has SIGINT and SIGTERM set the event; a second one ends the process as it would have."""
    loop = asyncio.get_running_loop()

    def told(number: int) -> None:
        event.set()
        loop.remove_signal_handler(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    with contextlib.suppress(RuntimeError, ValueError):  # not the main thread: whoever runs it sets the event
        for number in numbers:
            loop.add_signal_handler(number, told, number)
    try:
        yield
    finally:
        for number in numbers:
            with contextlib.suppress(RuntimeError, ValueError):
                loop.remove_signal_handler(number)
