"""Controllers of messages that tests of the bus use, and what they have seen."""

from __future__ import annotations

import asyncio
from typing import Any

from ironbridge.app import (
    IncomingHandler,
    Message,
    MessageBusController,
    MessageHandler,
    MessageOf,
    Post,
    RestController,
    RetryPolicy,
    nack,
    reject,
    retry_later,
    use_app_context,
    use_implicit_headers,
    use_publisher,
)
from pydantic import BaseModel

QUICK = RetryPolicy(max_retries=2, initial_delay=0.05, max_delay=0.1, jitter=False)


class Order(BaseModel):
    """A model without a topic of its own."""

    number: int


class Placed(Message):
    """An order was placed."""

    MESSAGE_TOPIC = "order.placed"
    number: int
    wish: str = "ok"


class Told(Message):
    """An event, which needs nobody."""

    MESSAGE_TOPIC = "order.told"
    MESSAGE_TYPE = "event"
    text: str


class Seen:
    """What handlers have seen, and whoever waits for it."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._news = asyncio.Event()

    def add(self, what: Any) -> None:
        """One more thing."""
        self.all.append(what)
        self._news.set()

    async def wait(self, count: int, timeout: float = 20) -> list[Any]:
        """All, when there are so many."""
        async with asyncio.timeout(timeout):
            while len(self.all) < count:
                self._news.clear()
                await self._news.wait()
        return self.all


@MessageBusController()
@RestController("/orders")
class Orders:
    """Takes orders, and handles them."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    @Post("/{number}")
    async def place(self, number: int, wish: str = "ok", fail: bool = False) -> str:
        """Publishes an order."""
        await Placed(number=number, wish=wish).publish()
        await use_publisher().publish(Order(number=number), topic="plain")
        await Told(text=f"order {number}").publish()
        if fail:
            raise RuntimeError("no order after all")
        return "placed"

    @MessageHandler(Placed, nack_on_exception=True, retry_config=QUICK, nack_delay_on_exception=0)
    async def handle(self, message: MessageOf[Placed]) -> None:
        """Does what the order wishes."""
        order, attempt = message.payload(), use_app_context().processing_attempt  # type: ignore[union-attr]
        self.seen.add((order.number, order.wish, attempt))
        if order.wish == "fail" or (order.wish == "once" and attempt == 1):
            await Told(text="never sent").publish()
            raise ValueError("it failed")
        if order.wish == "reject":
            await reject()
        if order.wish == "later" and attempt == 1:
            await retry_later(0.05)
        if order.wish == "again" and len(self.seen.all) == 1:
            await nack()
        if order.wish == "hang":
            await asyncio.sleep(60)

    @IncomingHandler("plain")
    async def plain(self, message: Message[Order]) -> None:
        """Takes a plain model by its topic."""
        self.seen.add(("plain", message.payload()))

    @MessageHandler(Told)
    async def told(self, message: Told) -> None:
        """Hears an event."""
        self.seen.add(("told", message.text, dict(use_implicit_headers())))
