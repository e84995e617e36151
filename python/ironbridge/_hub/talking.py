"""What a running service says: broadcasts, requests, responses and calls."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from ..errors import DeadlineExceeded
from . import logs
from .core import Core

T = TypeVar("T")

CALL_ALL_TIMEOUT = 5.0
"""Seconds that `call_all` waits for all answers, when it is not told."""


class Talking:
    """The sending half of a `MicroService`."""

    _ironbridge: Core

    async def send_broadcast(self, data: Any) -> None:
        """Sends `data` to all services but this one: to their `on_broadcast`.

        Returns when the engine has taken the message, which waits only where too much waits to be sent.

        Raises:
            PayloadError: the data cannot be written by the serializer, or is too large.
            DeadlineExceeded: the hub took nothing for too long.
            ServiceUnavailable: this service does not run.
        """
        core = self._ironbridge
        member = core.member or core.missing()
        if core.debug:
            logs.sent(core.log, "broadcast", data)
        waiting = member.broadcast(data)
        if waiting is not None:
            await waiting

    async def request_action(self, action: str, data: Any = None, timeout: float | None = None) -> Any:
        """Has `action` run in every service that has it, without an answer; with a `timeout` the same as `call`.

        Raises:
            PayloadError, DeadlineExceeded, ServiceUnavailable: as `send_broadcast`.
            ConfigurationError: there can be no action of that name.
        """
        if timeout is not None:
            return await self.call(action, data, timeout)
        core = self._ironbridge
        member = core.member or core.missing()
        if core.debug:
            logs.sent(core.log, f"request {action}", data)
        waiting = member.request(action, data)
        if waiting is not None:
            await waiting
        return None

    async def response(self, service: str, data: Any) -> None:
        """Sends `data` to the service of that name, to every process of it: to their `on_response`.

        Raises:
            PayloadError, DeadlineExceeded, ServiceUnavailable: as `send_broadcast`.
            ConfigurationError: there can be no service of that name.
        """
        core = self._ironbridge
        member = core.member or core.missing()
        if core.debug:
            logs.sent(core.log, f"response to {service}", data)
        waiting = member.respond(service, data)
        if waiting is not None:
            await waiting

    async def call(self, action: str, data: Any = None, timeout: float | None = None) -> Any:
        """Runs `action` in every service that has it, and returns what the first to answer has returned.

        Args:
            timeout: seconds; the option `call_timeout` (30) when not given. The services know how much is left.

        Raises:
            RemoteExecutionError: the action raised; also of the class that it raised, where that is known here.
            DeadlineExceeded: no answer came in time; `fate` says whether the call was sent.
            ServiceNotFound: no answer came in time, and no service has that action.
            Overloaded: too many calls wait for their answers (`IRONBRIDGE_MAX_IN_FLIGHT`).
            PayloadError, ServiceUnavailable: as `send_broadcast`.
        """
        core = self._ironbridge
        member = core.member or core.missing()
        if core.debug:
            logs.sent(core.log, f"call {action}", data)
        return await member.call(action, data, timeout)

    async def call_all(self, action: str, data: Any = None, timeout: float = CALL_ALL_TIMEOUT) -> list[tuple[str, Any]]:
        """Runs `action` in every service that has it, and collects all answers.

        Args:
            timeout: seconds, 5 when not given, after which those that have not answered are left out.

        Returns:
            `(service, answer)` for each process that answered; a failure is the exception in place of the answer.

        Raises:
            PayloadError, ServiceUnavailable: as `send_broadcast`.
        """
        core = self._ironbridge
        member = core.member or core.missing()
        if core.debug:
            logs.sent(core.log, f"call to all {action}", data)
        return await member.call_all(action, data, timeout)

    def from_thread(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Runs a coroutine on the service's loop and waits for it: how a plain action or task sends.

            service.from_thread(service.send_broadcast("done"))

        Args:
            timeout: seconds; as long as it takes when not given.

        Raises:
            DeadlineExceeded: it took longer, and was cancelled.
            ServiceUnavailable: this service does not run.
        """
        core = self._ironbridge
        session = core.session
        if session is None:
            coroutine.close()
            core.missing()
        running = asyncio.run_coroutine_threadsafe(coroutine, session.loop)
        try:
            return running.result(timeout)
        except TimeoutError:
            if running.done():
                raise
            running.cancel()
            raise DeadlineExceeded(f"not done on the service's loop within {timeout} s") from None
