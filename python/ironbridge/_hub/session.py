"""One stay of a service at its hub, from opening to drained."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from collections.abc import Generator

from .. import _engine
from .tasks import Tasks


class Stopping:
    """What `stop()` returns: await it on any loop, or `wait()` for it on another thread; or let it be."""

    def __init__(self, ended: concurrent.futures.Future[None]) -> None:
        self._ended = ended

    def __await__(self) -> Generator[object, None, None]:
        return asyncio.shield(asyncio.wrap_future(self._ended)).__await__()

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks this thread until the service has ended, `timeout` seconds at most. Returns whether it has."""
        return bool(concurrent.futures.wait([self._ended], timeout).done)


class Session:
    """Opens a member, keeps its tasks, and drains both.

    Args:
        grace: seconds for all of the end.
        log: is told what was left undone at the end.
    """

    def __init__(self, member: _engine.HubMember, tasks: Tasks, grace: float, log: logging.Logger) -> None:
        self.member = member
        self.ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        self.stopping = False
        self.loop = asyncio.get_running_loop()
        self._tasks = tasks
        self._grace = grace
        self._log = log
        self._told = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Returns when the service is at its hub and its tasks run, or when it was told to stop before that."""
        opened = asyncio.ensure_future(self.member.open(self.loop))
        told = asyncio.ensure_future(self._told.wait())
        try:
            await asyncio.wait((opened, told), return_when=asyncio.FIRST_COMPLETED)
            if opened.done() and not self.stopping:
                opened.result()
                self._tasks.start()
        finally:
            told.cancel()
            opened.cancel()

    async def told_to_stop(self) -> None:
        """Returns when somebody has called `stop`."""
        await self._told.wait()

    def stop(self, grace: float | None = None) -> Stopping:
        """Tells the session to end; from any thread."""
        try:
            self.loop.call_soon_threadsafe(self._stop, grace)
        except RuntimeError:
            pass  # the loop is closed, and with it all that ran on it has ended
        return Stopping(self.ended)

    def _stop(self, grace: float | None) -> None:
        if self._ending is None:
            self._grace = self._grace if grace is None else grace
            self._begin_to_end()
            self._told.set()

    def _begin_to_end(self) -> asyncio.Task[None]:
        if self._ending is None:
            self.stopping = True
            self._ending = self.loop.create_task(self._end())
        return self._ending

    async def end(self) -> None:
        """Ends the session, and returns when it has ended. Cancelled, it ends at once."""
        ending = self._begin_to_end()
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            ending.cancel()
            await asyncio.wait([ending])
            raise

    async def _end(self) -> None:
        deadline = self.loop.time() + self._grace
        try:
            await self._tasks.stop(self._grace)
            left = await self.member.drain(max(0.0, deadline - self.loop.time()))
            if left["unsent"] or left["cancelled"]:
                self._log.warning(
                    "ended with %d messages unsent and %d handlers cancelled", left["unsent"], left["cancelled"]
                )
        finally:
            self.member.close()
            self.ended.set_result(None)


def ended() -> Stopping:
    """What stopping gives where nothing runs."""
    done: concurrent.futures.Future[None] = concurrent.futures.Future()
    done.set_result(None)
    return Stopping(done)
