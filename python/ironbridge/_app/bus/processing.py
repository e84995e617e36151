"""Handling one message: its unit of work, and what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from ..core.contexts import AppTransactionContext, MessageBusTransactionData
from ..core.lifecycle import Running
from ..errors import MessagePayloadValidationError
from . import disposing
from .broker import Broker, Later, Outgoing, Received
from .disposing import Disposer, Disposition, MessageDisposed
from .handlers import Handling
from .implicit import provide_implicit_headers
from .messages import MessageOf
from .retrying import WORKER_POLICY, RetryPolicy

log = logging.getLogger("ironbridge.app.bus")

RETRIES = "x-retry-count"
LAST_ERROR = "x-last-error"
_ANY: TypeAdapter[Any] = TypeAdapter(Any)


class Processor:
    """Handles the messages of one handler.

    Args:
        process: the application that runs.
        broker: where messages come from, and go to be tried again.
        handling: the handler.
        policy: how often a message that failed is tried again, where the handler does not say.
    """

    def __init__(
        self, process: Running, broker: Broker, handling: Handling, policy: RetryPolicy = WORKER_POLICY
    ) -> None:
        self._process, self._broker, self._handling = process, broker, handling
        self._policy = handling.handler.retry_config or policy
        self._method = getattr(process.controllers[handling.controller], handling.method)

    async def take(self, received: Received) -> None:
        """Handles a message, and settles it."""
        if self._process.shutdown.is_set():
            received.nack()
            return
        try:
            payload = self._read(received.body)
        except MessagePayloadValidationError as wrong:
            if self._handling.handler.exception_handler is None:
                log.error("%s: message %s is refused: %s", self._handling.name, received.message_id, wrong)
            else:
                await self._tell(wrong)
            received.reject()
            return
        if self._handling.handler.auto_ack:
            received.ack()
        disposer = Disposer()
        error: BaseException | None = None
        delay: float | None = None
        try:
            await self._handle(received, payload, disposer)
            said: Disposition = disposer.said or "ack"
        except MessageDisposed as disposed:
            said, delay = disposed.disposition, disposed.delay
        except asyncio.CancelledError:
            received.nack()
            raise
        except Exception as raised:
            error = raised
            await self._tell(raised)
            said = disposer.said or ("retry" if self._handling.handler.nack_on_exception else "reject")
        await self._settle(received, said, delay, error)

    def _read(self, body: bytes) -> Any:
        model = self._handling.message_cls
        try:
            return _ANY.validate_json(body) if model is None else model.model_validate_json(body)
        except ValidationError as wrong:
            raise MessagePayloadValidationError(model, wrong) from None

    async def _handle(self, received: Received, payload: Any, disposer: Disposer) -> None:
        handling = self._handling
        message = MessageOf(payload, disposer) if handling.is_wrapped else payload
        data = MessageBusTransactionData(
            topic=f"{handling.topic}.{handling.name}",
            message=message,
            message_type=handling.message_cls or BaseModel,
            message_id=received.message_id,
            processing_attempt=_retries(received.headers) + 1,
            headers=received.headers,
        )
        token = disposing.current.set(disposer)
        try:
            async with self._process.unit_of_work(AppTransactionContext(data, handling.member)):
                with provide_implicit_headers(_carried(received.headers)):
                    if handling.handler.timeout is None:
                        await self._method(message)
                    else:
                        async with asyncio.timeout(handling.handler.timeout):
                            await self._method(message)
        finally:
            disposing.current.reset(token)

    async def _tell(self, error: Exception) -> None:
        handle = self._handling.handler.exception_handler
        if handle is None:
            log.error("%s has failed", self._handling.name, exc_info=error)
            return
        try:
            told = handle(error)
            if asyncio.iscoroutine(told):
                await told
        except Exception:
            log.exception("the exception handler of %s has failed", self._handling.name)

    async def _settle(
        self, received: Received, said: Disposition, delay: float | None, error: BaseException | None
    ) -> None:
        if said == "retry":
            said = await self._again(received, delay, error)
        elif said == "reject" and error is not None and self._handling.handler.nack_delay_on_exception:
            # What fails at once, and for every message, must not empty the queue at full speed.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._handling.handler.nack_delay_on_exception):
                    await self._process.shutdown.wait()
        getattr(received, "ack" if said == "ack" else "nack" if said == "nack" else "reject")()

    async def _again(self, received: Received, delay: float | None, error: BaseException | None) -> Disposition:
        """Has a message come again; what becomes of this copy."""
        retries = _retries(received.headers)
        if retries >= self._policy.max_retries:
            return "reject"
        wait = self._policy.delay(retries) if delay is None else delay
        plain = {name: value for name, value in received.headers.items() if isinstance(value, str | int | float | bool)}
        headers = {**plain, RETRIES: retries + 1, **({LAST_ERROR: f"{error}"} if error is not None else {})}
        topic = self._handling.topic
        queue = f"{topic}.{self._handling.name}"
        again = Outgoing(topic, bytes(received.body), False, headers, received.message_id, target=queue)
        try:
            await self._broker.publish_later(again, Later(time.time() + wait))
        except Exception:
            log.exception("%s: message %s could not be put off; it comes again at once", queue, received.message_id)
            return "nack"
        return "ack"


def _carried(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The headers that go on with what a handler publishes."""
    return {name: value for name, value in headers.items() if not name.startswith("x-")}


def _retries(headers: Mapping[str, Any]) -> int:
    retries = headers.get(RETRIES)
    return retries if isinstance(retries, int) and not isinstance(retries, bool) and retries > 0 else 0
