"""The outbox: messages are committed with the data that they tell of, and sent after; again, when that went wrong.

A row is written in the unit of work's own transaction, and deleted when the broker has the message. Rows that stay (a
process died, or the broker was away) are sent by any process of the application. So a message is sent if, and only if,
its transaction was committed; after a failure perhaps twice, with the same message id. One that is refused (nobody takes
it, or it cannot be sent as it is) is tried less and less often, and in the end set aside: see `set_aside.py`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import MetaData, delete, insert, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from ...errors import ConfigurationError, PayloadError, ServiceUnavailable
from ..persistence.tables import create_tables
from .broker import Broker, Later, Outgoing
from .keeping import OutboxConfig
from .outbox_table import ASIDE, outbox_table

log = logging.getLogger("ironbridge.app.bus")

_MOST_AT_ONCE = 200
# Rows of one moment are deleted together: a transaction for each would cost more than the message itself.
_DELETE_AFTER = 0.05

# Some drivers raise what the system did when the database cannot be reached.
_LOST = (SQLAlchemyError, OSError)

Staged = tuple[Outgoing, Later | None]


class Outbox:
    """One process's side of the outbox.

    Args:
        config: how messages are kept.
        connection_name: the database's.
        engine: the database.
        broker: whom they are sent to.
    """

    def __init__(self, config: OutboxConfig, connection_name: str, engine: AsyncEngine, broker: Broker) -> None:
        self.config, self.connection_name = config, connection_name
        self._engine, self._broker = engine, broker
        self._table = outbox_table(config.table, MetaData())
        self._sent: list[str] = []
        self._has_sent = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Makes the table where it is missing; sends what was left, and clears away what was sent, until the end."""
        await self._create()
        tasks = [asyncio.create_task(self._clear_away()), asyncio.create_task(self._look_for_left())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._delete_sent()

    async def store(self, session: AsyncSession, staged: Sequence[Staged]) -> list[Staged]:
        """Writes messages within a transaction; gives them with the ids that they will have."""
        now = time.time()
        kept = [
            (replace(message, message_id=message.message_id or uuid.uuid4().hex), later) for message, later in staged
        ]
        await session.execute(insert(self._table), [self._row(message, later, now) for message, later in kept])
        return kept

    async def send(self, messages: Sequence[Staged]) -> None:
        """Sends messages that are committed. What cannot be sent now is told to the log, and stays."""
        outcomes = await asyncio.gather(*(self._send(*one) for one in messages), return_exceptions=True)
        refused: dict[str, str] = {}
        for (message, _), outcome in zip(messages, outcomes, strict=True):
            if isinstance(outcome, asyncio.CancelledError):
                raise outcome
            if _is_refusal(outcome):
                refused[str(message.message_id)] = str(outcome)
            elif isinstance(outcome, BaseException):
                log.warning(
                    "a message of %r could not be sent: %s; it is in %s and is sent again in %.0f s at the latest",
                    message.topic,
                    str(outcome) or f"the broker has not confirmed it within {self.config.send_timeout:.0f} s",
                    self.config.table,
                    self.config.lease + self.config.poll,
                )
            else:
                self._sent.append(str(message.message_id))
        self._has_sent.set()
        if refused:
            await self._put_off(refused)

    async def send_left(self) -> int:
        """Sends messages whose lease has run out; how many there were."""
        claimed = await self._claim()
        await self.send(claimed)
        return len(claimed)

    # ---- the parts -----------------------------------------------------------------------------------------

    async def _send(self, message: Outgoing, later: Later | None) -> None:
        async with asyncio.timeout(self.config.send_timeout):
            if later is None:
                await self._broker.publish(message)
            else:
                await self._broker.publish_later(message, later)

    async def _create(self) -> None:
        try:
            await create_tables(self._engine, self._table.metadata)
        except DBAPIError as error:
            raise ConfigurationError(
                f"the outbox's table {self.config.table!r} is not there and cannot be made: {error.orig}. Make it in a "
                "migration (ironbridge.app.outbox_table), or give the bus's interceptor outbox=False"
            ) from error

    async def _claim(self) -> list[Staged]:
        table, now = self._table, time.time()
        claimed: list[Staged] = []
        async with self._engine.begin() as connection:
            wanted = select(table).where(table.c.due_at <= now).order_by(table.c.staged_at).limit(_MOST_AT_ONCE)
            for row in (await connection.execute(wanted)).all():
                # That nobody else has it is seen by its `due_at`: some databases know neither RETURNING nor SKIP LOCKED.
                mine = update(table).where(table.c.id == row.id, table.c.due_at == row.due_at)
                if (await connection.execute(mine.values(due_at=now + self.config.lease))).rowcount == 1:
                    claimed.append(_message(row))
        return claimed

    async def _put_off(self, refused: Mapping[str, str]) -> None:
        """Has messages that were refused wait, each time twice as long."""
        table, config, now = self._table, self.config, time.time()
        try:
            async with self._engine.begin() as connection:
                wanted = select(table.c.id, table.c.topic, table.c.refusals).where(table.c.id.in_(refused))
                for row in (await connection.execute(wanted)).all():
                    count = row.refusals + 1
                    is_last = count >= config.max_refusals
                    wait = min(config.lease * 2.0 ** min(row.refusals, 60), config.longest_wait)
                    values = {"due_at": ASIDE if is_last else now + wait, "refusals": count, "error": refused[row.id]}
                    await connection.execute(update(table).where(table.c.id == row.id).values(values))
                    if is_last:
                        log.error(
                            "the message %s of %r is set aside in %s: %s. It was tried %d times; `ironbridge app outbox` "
                            "shows such messages, and sends them again",
                            *(row.id, row.topic, config.table, refused[row.id], count),
                        )
                    else:
                        log.warning(
                            "a message of %r could not be sent: %s; it is in %s and is sent again in %.0f s",
                            *(row.topic, refused[row.id], config.table, wait),
                        )
        except _LOST as error:
            log.warning("messages in %s that were refused could not be put off: %s", config.table, error)

    async def _look_for_left(self) -> None:
        while True:
            try:
                if await self.send_left() == _MOST_AT_ONCE:
                    continue
            except Exception:
                log.exception("messages that were left in %s could not be looked for", self.config.table)
            await asyncio.sleep(self.config.poll)

    async def _clear_away(self) -> None:
        while True:
            await self._has_sent.wait()
            await asyncio.sleep(_DELETE_AFTER)
            if not await self._delete_sent():
                await asyncio.sleep(self.config.poll)
                self._has_sent.set()

    async def _delete_sent(self) -> bool:
        """Whether all rows are gone whose messages the broker has."""
        self._has_sent.clear()
        while self._sent:
            some = self._sent[:_MOST_AT_ONCE]
            try:
                async with self._engine.begin() as connection:
                    await connection.execute(delete(self._table).where(self._table.c.id.in_(some)))
            except _LOST as error:
                log.warning(
                    "messages that were sent are still in %s, and may be sent again: %s", self.config.table, error
                )
                return False
            del self._sent[: len(some)]
        return True

    def _row(self, message: Outgoing, later: Later | None, now: float) -> dict[str, Any]:
        rest = {
            "headers": dict(message.headers),
            "target": message.target,
            "content_type": message.content_type,
            "later": asdict(later) if later else None,
        }
        return {
            "id": message.message_id,
            "topic": message.topic,
            "body": message.body,
            "envelope": json.dumps(rest),
            "is_task": message.is_task,
            "staged_at": now,
            "due_at": now + self.config.lease,
            "refusals": 0,
            "error": None,
        }


def _is_refusal(outcome: Any) -> bool:
    """Whether the fault is the message's, or its takers', and no outage's: trying at full speed would be of no use."""
    if isinstance(outcome, ServiceUnavailable):
        return outcome.fate == "rejected"
    return isinstance(outcome, PayloadError | ConfigurationError)


def _message(row: Any) -> Staged:
    rest = json.loads(row.envelope)
    later = rest.pop("later")
    return (
        Outgoing(row.topic, bytes(row.body), row.is_task, message_id=row.id, **rest),
        Later(**later) if later else None,
    )
