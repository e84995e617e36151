"""Messages of an outbox that were refused so often that they were set aside: looked at, sent again, or dropped."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import MetaData, Select, delete, select, update
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from ...errors import ConfigurationError, ServiceUnavailable
from .keeping import OutboxConfig
from .outbox_table import ASIDE, outbox_table


@dataclass(frozen=True)
class AsideMessage:
    """One.

    Attributes:
        message_id: its id.
        topic: its topic.
        error: why it could not be sent.
        refusals: how often it was tried.
        staged_at: when it was published, in seconds since 1970.
        body: what it says.
    """

    message_id: str
    topic: str
    error: str | None
    refusals: int
    staged_at: float
    body: bytes


class SetAside:
    """Those of one outbox. Use it as an asynchronous context manager.

    Args:
        url: the database's, as SQLAlchemy's asynchronous engines have it.
        table: the outbox's.

    Raises:
        ConfigurationError: this is no such URL, or its driver is not installed.
    """

    def __init__(self, url: str, table: str = OutboxConfig.table) -> None:
        try:
            self._engine = create_async_engine(url)
        except (ArgumentError, ImportError) as error:
            raise ConfigurationError(f"this is no database that can be used here: {error}") from error
        self._table = outbox_table(table, MetaData())

    async def __aenter__(self) -> SetAside:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._engine.dispose()

    async def list(self, limit: int | None = None, topic: str | None = None) -> list[AsideMessage]:
        """The oldest.

        Args:
            limit: so many at most.
            topic: of this topic alone.

        Raises:
            ServiceUnavailable: the database cannot be asked.
        """
        table = self._table
        columns = (table.c.id, table.c.topic, table.c.error, table.c.refusals, table.c.staged_at, table.c.body)
        rows = await self._ask(self._wanted(select(*columns), topic).order_by(table.c.staged_at).limit(limit))
        return [
            AsideMessage(row.id, row.topic, row.error, row.refusals, row.staged_at, bytes(row.body)) for row in rows
        ]

    async def requeue(self, topic: str | None = None) -> int:
        """Has them sent again, by any process of the application; how many.

        Raises:
            ServiceUnavailable: the database cannot be asked.
        """
        values = {"due_at": time.time(), "refusals": 0}
        return await self._change(self._wanted(update(self._table).values(values), topic))

    async def drop(self, topic: str | None = None) -> int:
        """Deletes them, for good; how many.

        Raises:
            ServiceUnavailable: the database cannot be asked.
        """
        return await self._change(self._wanted(delete(self._table), topic))

    def _wanted(self, statement: Any, topic: str | None) -> Any:
        chosen = statement.where(self._table.c.due_at >= ASIDE)
        return chosen if topic is None else chosen.where(self._table.c.topic == topic)

    async def _ask(self, statement: Select[Any]) -> Sequence[Any]:
        return (await self._do(statement)).all()  # type: ignore[no-any-return]

    async def _change(self, statement: Any) -> int:
        return int((await self._do(statement)).rowcount)

    async def _do(self, statement: Any) -> Any:
        try:
            async with self._engine.begin() as connection:
                return await connection.execute(statement)
        except (DBAPIError, OSError) as error:
            place = self._engine.url.render_as_string(hide_password=True)
            raise ServiceUnavailable(f"the outbox {self._table.name!r} at {place} cannot be asked: {error}") from error
