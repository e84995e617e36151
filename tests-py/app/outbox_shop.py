"""A shop whose orders are in a database and on the bus; tests of the outbox run it, also as a process to be killed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from ironbridge.app import (
    AIOPikaConnectionFactory,
    AIOSQAConfig,
    AIOSqlAlchemySessionInterceptor,
    Message,
    MessageBusPublisherInterceptor,
    Microservice,
    OutboxConfig,
    Post,
    RedisMessageBrokerBackend,
    RestController,
    create_http_server,
    use_publisher,
    use_session,
)
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

QUICK = OutboxConfig(send_timeout=0.4, lease=0.8, poll=0.1)


class Base(DeclarativeBase):
    """This shop's tables."""


class OrderRow(Base):
    """An order, once."""

    __tablename__ = "orders"
    number: Mapped[int] = mapped_column(primary_key=True)


class Ordered(Message):
    """An order is in the database."""

    MESSAGE_TOPIC = "order.made"
    MESSAGE_TYPE = "event"
    number: int


class Wanted(Message):
    """A task: somebody must take it."""

    MESSAGE_TOPIC = "order.wanted"
    number: int


class Shout(BaseModel):
    """A model without a topic of its own."""

    text: str


@RestController("/orders")
class Shop:
    """Takes orders."""

    @Post("/{number}")
    async def order(self, number: int, then: str = "") -> str:
        """Stores an order, and tells of it."""
        use_session().add(OrderRow(number=number))
        await Ordered(number=number).publish()
        if then == "fail":
            raise RuntimeError("no order after all")
        if then == "wish":
            await Wanted(number=number).publish()
        if then == "delay":
            await use_publisher().delay(Ordered(number=-number), 0.2)
        if then == "key":
            await use_publisher().delay(Ordered(number=-number), 0.2, idempotency_key="one")
        if then == "shout":
            await use_publisher().publish(Shout(text="!"), topic="A" * 300)
        return "ordered"


class MadeTables:
    """Has the shop's tables there."""

    def __init__(self, url: str) -> None:
        self._url = url

    @asynccontextmanager
    async def lifecycle(self, *_given: Any) -> AsyncIterator[None]:
        """At start-up."""
        engine = create_async_engine(self._url)
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        await engine.dispose()
        yield

    @asynccontextmanager
    async def intercept(self) -> AsyncIterator[None]:
        """Nothing."""
        yield


def shop(
    bus: str,
    database: str,
    outbox: OutboxConfig | bool = QUICK,
    *,
    bus_outside: bool = True,
    backend: str | None = None,
) -> FastAPI:
    """The application."""
    factory = AIOPikaConnectionFactory(
        bus, message_broker_backend=RedisMessageBrokerBackend(backend) if backend else None
    )
    both: list[Any] = [
        MessageBusPublisherInterceptor(factory, outbox=outbox),
        AIOSqlAlchemySessionInterceptor(AIOSQAConfig(database)),
    ]
    interceptors = [MadeTables(database), *(both if bus_outside else reversed(both))]
    return create_http_server(Microservice(controllers=[Shop], interceptors=interceptors))


@asynccontextmanager
async def serving(
    bus: str, path: Path, outbox: OutboxConfig | bool = QUICK, **given: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """The shop, and a client of its. What else is given is `shop`'s."""
    asgi = shop(bus, f"sqlite+aiosqlite:///{path}", outbox, **given)
    async with asgi.router.lifespan_context(asgi):
        transport = httpx.ASGITransport(asgi, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            yield client


def rows(path: Path, table: str) -> int:
    """How many there are in a table."""
    with sqlite3.connect(path) as connection:
        return int(connection.execute(f"select count(*) from {table}").fetchone()[0])


if "SHOP_BUS" in os.environ:
    web_app = shop(os.environ["SHOP_BUS"], os.environ["SHOP_DATABASE"])
