"""The slow work behind the window: it takes seconds, and stops when its caller no longer wants it."""

from __future__ import annotations

import asyncio

import ironbridge.bridge as meta


@meta.create("slow-work").daemon()
class SlowWork:
    def __init__(self) -> None:
        self.finished = 0
        self.cancelled = 0

    @meta.function
    async def work(self, seconds: float) -> str:
        """Works for that long. Cancelling the awaiting task there raises `CancelledError` here."""
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.finished += 1
        return f"worked for {seconds:g} s"

    @meta.function
    def outcomes(self) -> dict[str, int]:
        """How many pieces of work were finished and cancelled so far."""
        return {"finished": self.finished, "cancelled": self.cancelled}


def start() -> meta.DaemonHandle:
    """Runs the service in a process of its own."""
    return meta.run("slow-work")
