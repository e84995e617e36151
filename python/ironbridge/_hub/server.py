"""`Server`: a hub."""

from __future__ import annotations

import asyncio
import concurrent.futures
from types import TracebackType
from typing import Any, Self

from .. import _engine
from ..errors import ConfigurationError
from . import logs, signals, warnings
from .options import seconds
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

    Raises:
        ConfigurationError: an endpoint or the secret cannot be.
    """

    def __init__(
        self, sender_endpoint: str, receiver_endpoint: str, debug: bool = False, *, secret: str | None = None
    ) -> None:
        self._endpoints = (sender_endpoint, receiver_endpoint)
        self._secret = secret
        self._log = logs.logger("Server", bool(debug))
        self._native: Any = getattr(_engine, "HubServer")(  # noqa: B009
            sender_endpoint, receiver_endpoint, secret=secret
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told: asyncio.Event | None = None
        self._grace: float | None = None
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()

    def __repr__(self) -> str:
        state = "running" if self._native.running else "not running"
        return f"<Server {self._endpoints[0]} {self._endpoints[1]} {state}>"

    async def run(self) -> None:
        """Forwards until `stop()`, SIGTERM, Ctrl+C or cancellation.

        Raises:
            ServiceAlreadyExists: another hub is at these endpoints.
            ConfigurationError: they cannot be listened on; or this hub runs already.
        """
        async with self:
            await self.until_stopped()

    async def until_stopped(self) -> None:
        """For use inside `async with server:` – returns at `stop()`, SIGTERM or Ctrl+C."""
        if self._told is not None:
            with signals.draining(self.stop):
                await self._told.wait()

    async def __aenter__(self) -> Self:
        """Forwards beside the block, from its beginning to its end."""
        if self._loop is not None:
            raise ConfigurationError("this hub runs already")
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        self._ended = concurrent.futures.Future()
        # On a thread, since it may have to ask whether another hub is there.
        start = asyncio.ensure_future(asyncio.to_thread(self._native.start))
        try:
            await asyncio.shield(start)
        except BaseException:
            await asyncio.wait([start])
            await self.__aexit__(None, None, None)
            raise
        warnings.about_open_endpoints(self._log, self._endpoints, self._secret)
        self._log.debug("forwarding from %s to %s", self._endpoints[1], self._endpoints[0])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
        """What the hub has received, forwarded, dropped and refused so far. From any thread."""
        counted: dict[str, Any] = self._native.stats()
        return counted
