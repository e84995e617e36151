"""The publisher: what is published in a unit of work is sent when that has gone well."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, overload
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from ...errors import ConfigurationError
from ..errors import OutsideOfContextError
from ..observability.carrying import carry
from .broker import Broker, Later, Outgoing
from .implicit import use_implicit_headers
from .messages import MessageOf, PayloadPolicy, TimePolicy, topic_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from .outbox import Outbox

Staged = tuple[Outgoing, Later | None]


class MessagePublisher:
    """Publishes for one unit of work.

    What it is given is kept until :meth:`flush`, which the unit of work does at its end if nothing failed, and which
    returns when the broker has it all; or it is sent at once. With an outbox, it is committed with the unit of work's
    transaction before it is sent.
    """

    def __init__(self, broker: Broker, *, at_once: bool = False, outbox: Outbox | None = None) -> None:
        self._broker, self._at_once, self._outbox = broker, at_once, outbox
        self._staged: list[Staged] = []
        self._committed: list[Staged] = []

    async def publish(self, message: Any, topic: str | None = None) -> None:
        """Publishes a message at the end of the unit of work.

        Args:
            message: a `Message`, or any pydantic model.
            topic: the topic of one whose class names none.

        Raises:
            ConfigurationError: it has no topic.
        """
        await self._stage(self._outgoing(message, topic), None)

    async def delay(
        self,
        message: Any,
        seconds: float,
        topic: str | None = None,
        *,
        idempotency_key: str | None = None,
        payload_policy: PayloadPolicy = "ignore",
        time_policy: TimePolicy = "replace",
    ) -> None:
        """Publishes a message so many seconds after now. See `Message.delay`."""
        later = Later(time.time() + seconds, idempotency_key, payload_policy, time_policy)
        await self._stage(self._outgoing(message, topic), later)

    async def schedule(
        self,
        message: Any,
        when: datetime,
        tz: tzinfo | str | None = None,
        topic: str | None = None,
        *,
        idempotency_key: str | None = None,
        payload_policy: PayloadPolicy = "ignore",
        time_policy: TimePolicy = "replace",
    ) -> None:
        """Publishes a message at a time. See `Message.schedule`."""
        if when.tzinfo is None:
            when = when.replace(tzinfo=ZoneInfo(tz) if isinstance(tz, str) else tz or UTC)
        later = Later(when.timestamp(), idempotency_key, payload_policy, time_policy)
        await self._stage(self._outgoing(message, topic), later)

    async def flush(self) -> None:
        """Sends all that was published, and waits until the broker has it.

        Raises:
            what the broker does: see `Broker.publish`. The others are sent all the same.
        """
        staged, self._staged = self._staged, []
        if not staged:
            return
        if len(staged) == 1:
            await self._send(*staged[0])
            return
        outcomes = await asyncio.gather(*(self._send(*one) for one in staged), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def before_commit(self, connection_name: str, session: AsyncSession) -> None:
        """Stores all that was published, when this is the outbox's database."""
        if self._outbox is not None and self._staged and self._outbox.connection_name == connection_name:
            self._committed += await self._outbox.store(session, self._staged)
            self._staged = []

    async def after_commit(self) -> None:
        """Sends all that was published. What the database has, may be sent later, and fails nothing.

        Raises:
            what the broker does, of what no database has.
        """
        if self._outbox is not None and self._committed:
            committed, self._committed = self._committed, []
            await self._outbox.send(committed)
        await self.flush()

    async def _stage(self, message: Outgoing, later: Later | None) -> None:
        if self._at_once:
            await self._send(message, later)
        else:
            self._staged.append((message, later))

    async def _send(self, message: Outgoing, later: Later | None) -> None:
        if later is None:
            await self._broker.publish(message)
        else:
            await self._broker.publish_later(message, later)

    def _outgoing(self, message: Any, topic: str | None) -> Outgoing:
        if isinstance(message, MessageOf):
            message = message.payload()
        if not isinstance(message, BaseModel):
            raise ConfigurationError(f"a {type(message).__qualname__} cannot be published: give a pydantic model")
        found = topic_of(message, topic)
        if found is None:
            raise ConfigurationError(
                f"{type(message).__qualname__} has no topic: set MESSAGE_TOPIC, or give publish(…, topic='…')"
            )
        is_task = getattr(type(message), "MESSAGE_TYPE", "task") == "task"
        headers = dict(use_implicit_headers())
        carry(found, headers)
        return Outgoing(found, message.model_dump_json().encode(), is_task, headers)


_publishers: ContextVar[dict[str, MessagePublisher]] = ContextVar("publishers", default={})  # noqa: B039 - never changed


@overload
def use_publisher(connection_name: str = "default") -> MessagePublisher: ...
@overload
def use_publisher(*, connecton_name: str) -> MessagePublisher: ...
def use_publisher(connection_name: str = "default", *, connecton_name: str | None = None) -> MessagePublisher:
    """The publisher of what runs now.

    Args:
        connection_name: the interceptor's.
        connecton_name: the same, as the original spells it.

    Raises:
        OutsideOfContextError: nothing runs that has one of this name.
    """
    name = connecton_name or connection_name
    found = _publishers.get().get(name)
    if found is None:
        raise OutsideOfContextError(
            f"there is no publisher {name!r} here: call it in a request, message or scheduled action of an application "
            "that has a MessageBusController or a MessageBusPublisherInterceptor"
        )
    return found


@contextmanager
def provide_publisher(publisher: MessagePublisher, connection_name: str = "default") -> Iterator[None]:
    """Has `use_publisher` give this one within."""
    token = set_publisher(publisher, connection_name)
    try:
        yield
    finally:
        reset_publisher(token)


def set_publisher(publisher: MessagePublisher, connection_name: str) -> Token[dict[str, MessagePublisher]]:
    """Has `use_publisher` give this one; what undoes it."""
    return _publishers.set({**_publishers.get(), connection_name: publisher})


def reset_publisher(token: Token[dict[str, MessagePublisher]]) -> None:
    """Undoes `set_publisher`."""
    _publishers.reset(token)
