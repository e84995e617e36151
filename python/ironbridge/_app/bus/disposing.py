"""What becomes of a message: acknowledged, given back, rejected, or tried again later."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Literal, NoReturn

from ..errors import OutsideOfContextError

Disposition = Literal["ack", "nack", "reject", "retry"]


class MessageDisposed(BaseException):
    """Ends a handler whose message was given back, rejected or will be tried again: its unit of work rolls back.

    Attributes:
        disposition: what became of the message.
        delay: seconds before it is tried again.
    """

    def __init__(self, disposition: Disposition, delay: float | None = None) -> None:
        super().__init__(disposition)
        self.disposition, self.delay = disposition, delay


class Disposer:
    """Whose handler runs; what it says becomes of its message."""

    def __init__(self) -> None:
        self.said: Disposition | None = None

    async def ack(self) -> None:
        """It is dealt with, whatever the handler does from now on."""
        self.said = "ack"

    async def nack(self) -> NoReturn:
        """It comes again at once, here or elsewhere."""
        raise MessageDisposed("nack")

    async def reject(self) -> NoReturn:
        """It goes to the dead letters."""
        raise MessageDisposed("reject")

    async def retry(self, delay: float) -> NoReturn:
        """It comes again after so many seconds, and that counts as a retry."""
        raise MessageDisposed("retry", delay)


current: ContextVar[Disposer] = ContextVar("message")


def use_bus_message_controller() -> Disposer:
    """What decides on the message that is handled now.

    Raises:
        OutsideOfContextError: none is.
    """
    try:
        return current.get()
    except LookupError:
        raise OutsideOfContextError("no message is being handled here") from None


async def ack() -> None:
    """The message that is handled now is dealt with, whatever the handler does from now on."""
    await use_bus_message_controller().ack()


async def nack() -> NoReturn:
    """The message that is handled now comes again at once; ends the handler."""
    await use_bus_message_controller().nack()


async def reject() -> NoReturn:
    """The message that is handled now goes to the dead letters; ends the handler."""
    await use_bus_message_controller().reject()


async def retry() -> NoReturn:
    """The message that is handled now comes again in 5 seconds; ends the handler."""
    await retry_later(5.0)


async def retry_later(delay: float) -> NoReturn:
    """The message that is handled now comes again after so many seconds; ends the handler."""
    await use_bus_message_controller().retry(delay)
