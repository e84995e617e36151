"""What channels go over: the contract that Redis, JetStream and the memory fulfil, and what they do alike."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from ..errors import MoleculerRetryableError
from .schema import ChannelSchema

Outcome = Literal["done", "again", "dead"]
FIRST_PAUSE = 0.05
MOST_PAUSE = 5.0
"""Seconds between two tries to reach a server."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it comes.

    Attributes:
        payload: its bytes.
        headers: what goes beside it.
        attempt: which delivery this is, from 1.
    """

    payload: bytes
    headers: Mapping[str, str]
    attempt: int


Handle = Callable[[Message], Awaitable[None]]


class Subscription(Protocol):
    """A channel that is listened to."""

    async def ready(self) -> None:
        """Returns when messages that are sent from now on will come."""

    async def stop(self, grace: float) -> None:
        """Takes no more messages, and waits so many seconds for those that are handled; the others come again."""


class Adapter(Protocol):
    """A server that keeps messages."""

    async def publish(self, name: str, payload: bytes, headers: Mapping[str, str], most: int | None) -> None:
        """Returns when the server has it.

        Args:
            name: the channel's, with its prefix.
            payload: bytes.
            headers: what goes beside it.
            most: messages that the channel keeps, about; `None`: all. Redis's alone.

        Raises:
            MoleculerRetryableError: the server cannot be reached, or has not taken it in time.
        """

    def subscribe(self, channel: ChannelSchema, name: str, consumer: str, handle: Handle) -> Subscription:
        """Gives messages of a channel to `handle` from now on, whenever the server can be reached.

        Args:
            channel: how it is listened to.
            name: the channel's, with its prefix.
            consumer: who listens, of all there are.
            handle: handles one; raises when that failed.
        """

    def know_node(self, node_id: str, is_there: bool) -> None:
        """A node is there, or has gone: then others take over what it was handling."""

    async def close(self) -> None:
        """Lets the server go."""


async def outcome_of(channel: ChannelSchema, handle: Handle, message: Message, log: logging.Logger) -> Outcome:
    """Handles a message, and tells what becomes of it."""
    try:
        await handle(message)
    except asyncio.CancelledError:
        raise
    except Exception as error:
        if message.attempt < channel.max_retries:
            log.warning(
                "%s has failed, %d of %d: %s; it is tried again in %.0f ms",
                channel.place,
                message.attempt,
                channel.max_retries,
                error,
                channel.retry_delay,
            )
            return "again"
        where = f"goes to {channel.dead_letters}" if channel.dead_letters else "is dropped"
        log.error("%s has failed %d times: the message %s", channel.place, message.attempt, where, exc_info=error)
        return "dead"
    return "done"


def unreachable(place: str, why: object) -> MoleculerRetryableError:
    """The error of a message that no server has."""
    return MoleculerRetryableError(
        f"the channels' server at {place} has not taken the message: {why}", 502, "CHANNEL_UNAVAILABLE"
    )
