"""Messages: what is published, and what a handler gets of it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel

if TYPE_CHECKING:
    from .disposing import Disposer

M = TypeVar("M", bound=BaseModel)

MessageType = Literal["task", "event"]
PayloadPolicy = Literal["ignore", "replace"]
TimePolicy = Literal["replace", "greater", "lesser"]

UNSET_TOPIC = "__unset__"


class MessageOf(Generic[M]):
    """A message as a handler gets it: what it says, and what becomes of it.

    `Message[Model]`, as the first version of this protocol wrote it, is the same.
    """

    def __init__(self, payload: M, disposer: Disposer | None = None) -> None:
        self._payload, self._disposer = payload, disposer

    def payload(self) -> M:
        """What it says."""
        return self._payload

    async def ack(self) -> None:
        """It is dealt with, now already."""
        if self._disposer is not None:
            await self._disposer.ack()

    async def nack(self) -> None:
        """It is not dealt with, and comes again at once."""
        if self._disposer is not None:
            await self._disposer.nack()

    async def reject(self) -> None:
        """It cannot be dealt with: it goes to the dead letters."""
        if self._disposer is not None:
            await self._disposer.reject()


class Message(BaseModel):
    """What is published: derive a model from it, and name its topic.

    Class attributes:
        MESSAGE_TOPIC: the topic; `publish(…, topic=…)` can name another for a message that has none.
        MESSAGE_TYPE: of a task it is an error that nobody takes it; an event is for whoever is there.
        MESSAGE_CATEGORY: for metrics.
        TRACE_BOUNDARY: whether a handler's trace is linked to its publisher's (`"default"`, `"link"`) or a part of
            it (`"child"`).
    """

    MESSAGE_TOPIC: ClassVar[str] = UNSET_TOPIC
    MESSAGE_TYPE: ClassVar[MessageType] = "task"
    MESSAGE_CATEGORY: ClassVar[str] = "uncategorized"
    TRACE_BOUNDARY: ClassVar[Literal["default", "child", "link"]] = "default"

    def __class_getitem__(cls, item: Any) -> Any:
        """`Message[Model]` is `MessageOf[Model]`."""
        if cls is Message:
            return MessageOf[item]
        return super().__class_getitem__(item)

    async def publish(self) -> None:
        """Publishes it by the publisher of what runs now.

        Raises:
            OutsideOfContextError: nothing runs that has one.
        """
        from .publisher import use_publisher

        await use_publisher().publish(self)

    async def delay(
        self,
        seconds: float,
        *,
        idempotency_key: str | None = None,
        payload_policy: PayloadPolicy = "ignore",
        time_policy: TimePolicy = "replace",
    ) -> None:
        """Publishes it after so many seconds.

        Args:
            seconds: how long from now.
            idempotency_key: of several with the same key that still wait, there is one.
            payload_policy: whether a later one's payload takes the place of the first's.
            time_policy: whether a later one's time does: always, or when it is greater, or lesser.

        Raises:
            OutsideOfContextError: nothing runs that has a publisher.
        """
        from .publisher import use_publisher

        await use_publisher().delay(
            self, seconds, idempotency_key=idempotency_key, payload_policy=payload_policy, time_policy=time_policy
        )

    async def schedule(
        self,
        when: datetime,
        tz: Any = None,
        *,
        idempotency_key: str | None = None,
        payload_policy: PayloadPolicy = "ignore",
        time_policy: TimePolicy = "replace",
    ) -> None:
        """Publishes it at a time. As `delay` otherwise.

        Args:
            when: the time; one without a time zone is of `tz`.
            tz: a time zone, or its name; UTC unless given.
        """
        from .publisher import use_publisher

        await use_publisher().schedule(
            self, when, tz, idempotency_key=idempotency_key, payload_policy=payload_policy, time_policy=time_policy
        )


def topic_of(message: BaseModel, topic: str | None) -> str | None:
    """The topic of a message: its class's, or the one that is given for it."""
    own = getattr(type(message), "MESSAGE_TOPIC", UNSET_TOPIC)
    return own if own != UNSET_TOPIC else topic
