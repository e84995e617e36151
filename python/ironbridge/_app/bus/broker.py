"""What a bus goes over: the contract that the broker in process and RabbitMQ fulfil alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .messages import PayloadPolicy, TimePolicy


@dataclass(frozen=True)
class Outgoing:
    """A message as it leaves.

    Attributes:
        topic: its topic.
        body: what it says: JSON.
        is_task: whether it is an error that nobody takes it.
        headers: what travels with it.
        message_id: what tells it from others; made unless given.
        target: the one queue that it is for, in place of its topic's.
        content_type: what its body is.
        is_tick: whether it is of a scheduled action: only the newest is of use, and it need not outlive the broker.
    """

    topic: str
    body: bytes
    is_task: bool = True
    headers: Mapping[str, Any] = field(default_factory=dict)
    message_id: str | None = None
    target: str | None = None
    content_type: str | None = None
    is_tick: bool = False


@dataclass(frozen=True)
class Later:
    """When a message is to be published.

    Attributes:
        at: seconds since 1970.
        idempotency_key: of those with the same key that still wait, there is one.
        payload_policy, time_policy: whether a later one changes it.
    """

    at: float
    idempotency_key: str | None = None
    payload_policy: PayloadPolicy = "ignore"
    time_policy: TimePolicy = "replace"


class Received(Protocol):
    """A message as it comes. One of `ack`, `nack` and `reject` settles it."""

    body: bytes
    headers: Mapping[str, Any]
    message_id: str | None
    redelivered: bool

    def ack(self) -> Any:
        """It is dealt with."""

    def nack(self) -> Any:
        """It comes again at once."""

    def reject(self) -> Any:
        """It goes to the dead letters."""


@dataclass(frozen=True)
class Queue:
    """What is consumed.

    Attributes:
        name: its name.
        topic: what leads to it.
        is_tick: whether it is a scheduled action's: only the newest message waits in it, and none is acknowledged.
        prefetch: how many messages may be open; 0: any number.
    """

    name: str
    topic: str
    is_tick: bool = False
    prefetch: int = 1


Take = Callable[[Received], Awaitable[None]]


class Broker(Protocol):
    """A bus's broker, opened."""

    async def publish(self, message: Outgoing) -> None:
        """Returns when the broker has it.

        Raises:
            ServiceUnavailable: of a task: nobody takes its topic.
            ConnectionLost: the broker has not confirmed it in time; it may have it.
        """

    async def publish_later(self, message: Outgoing, later: Later) -> None:
        """Has it published at a time.

        Raises:
            ConfigurationError: there is nothing that keeps it until then.
        """

    async def declare(self, queue: Queue) -> None:
        """Has a queue there, so that it keeps what is published from now on."""

    async def consume(self, queue: Queue, take: Take) -> Callable[[], Awaitable[None]]:
        """Gives a queue's messages to `take`, from now on; gives what ends it."""

    async def check(self) -> None:
        """Returns when it is connected now.

        Raises:
            ServiceUnavailable: it is not.
        """

    async def close(self) -> None:
        """Lets it go."""
