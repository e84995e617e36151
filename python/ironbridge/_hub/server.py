"""`Server`: a hub."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Self, Unpack

from .. import _engine
from ..errors import ConfigurationError
from . import logs, signals, warnings
from .options import HubOptions, native, seconds
from .session import Stopping, ended


class Server:
    """A hub: what services push to the receiver's endpoint is forwarded to those that subscribed at the sender's.

    Args:
        sender_endpoint: where services listen: `ipc:///path`, `ipc://@name` or `tcp://host:port`; `*` and `0.0.0.0`
            are every address of this machine.
        receiver_endpoint: where services send to.
        debug: log what the hub does at level DEBUG, logger `ironbridge.hub.Server`; seen on stderr where logging is
            not configured.
        secret: what services have to know. Peers other than Ironbridge cannot tell it, and are refused.
        options: see :class:`ironbridge.hub.HubOptions`.

    Raises:
        ConfigurationError: an endpoint, the secret or an option cannot be.
    """

    def __init__(
        self,
        sender_endpoint: str,
        receiver_endpoint: str,
        debug: bool = False,
        *,
        secret: str | None = None,
        **options: Unpack[HubOptions],
    ) -> None:
        self._log = logs.logger("Server", bool(debug))
        self._make = partial(
            _engine.HubServer, sender_endpoint, receiver_endpoint, secret=secret, options=native(options)
        )
        # What cannot be is told now. The one that runs is made when it does, perhaps in a forked child.
        self._native = self._make()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told: asyncio.Event | None = None
        self._grace: float | None = None
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()

    def __repr__(self) -> str:
        state = "running" if self._native.running else "not running"
        return f"<Server {' '.join(self.endpoints)} {state}>"

    @property
    def endpoints(self) -> tuple[str, str]:
        """The sender's and the receiver's; while it runs with the ports that the system chose for port 0."""
        return self._native.endpoints

    async def run(self, started: Callable[[], object] | None = None) -> None:
        """Forwards until `stop()`, SIGTERM, Ctrl+C or cancellation.

        Args:
            started: called once the hub listens.

        Raises:
            ServiceAlreadyExists: another hub is at these endpoints.
            ConfigurationError: they cannot be listened on; or this hub runs already.
        """
        told = self._begin()
        with signals.draining(self.stop):
            try:
                await self._start()
                if started is not None:
                    started()
                await told.wait()
            finally:
                await self._end()

    async def __aenter__(self) -> Self:
        """Forwards beside the block, from its beginning to its end."""
        self._begin()
        try:
            await self._start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    def _begin(self) -> asyncio.Event:
        if self._loop is not None:
            raise ConfigurationError("this hub runs already")
        self._loop, self._told, self._grace = asyncio.get_running_loop(), asyncio.Event(), None
        self._ended = concurrent.futures.Future()
        self._native = self._make()
        return self._told

    async def _start(self) -> None:
        # On a thread, since it may have to ask whether another hub is there.
        start = asyncio.ensure_future(asyncio.to_thread(self._native.start))
        try:
            await asyncio.shield(start)
        except asyncio.CancelledError:
            await asyncio.wait([start])
            raise
        warnings.say(self._log, self._native.warnings)
        self._log.debug("forwarding from %s to %s", *reversed(self.endpoints))

    async def _end(self) -> None:
        try:
            await asyncio.to_thread(self._native.stop, self._grace)
        finally:
            self._log.debug("stopped: %s", self._native.stats())
            self._loop = self._told = None
            self._ended.set_result(None)

    def stop(self, grace: float | None = None) -> Stopping:
        """Ends the hub; from any thread, and whether or not what is returned is awaited.

        Args:
            grace: seconds for what it has received to reach the services.
        """
        loop, told = self._loop, self._told
        if loop is None or told is None:
            return ended()
        if grace is not None:
            self._grace = seconds("grace", grace)
        stopping = Stopping(self._ended)
        try:
            loop.call_soon_threadsafe(told.set)
        except RuntimeError:
            pass  # the loop is closed, and with it all that ran on it has ended
        return stopping

    def stats(self) -> dict[str, Any]:
        """What the hub has received, forwarded, dropped and refused in this run, or the last one. From any thread."""
        return self._native.stats()
