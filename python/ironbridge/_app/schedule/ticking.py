"""Ticks: what the beat tells workers of actions that are due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from ..bus.broker import Broker, Received
from .actions import Runner
from .ledger import Ledger, ProcessLedger, RedisLedger

log = logging.getLogger("ironbridge.app.schedule")


@asynccontextmanager
async def ticking(broker: Broker, runners: Sequence[Runner], backend_url: str | None) -> AsyncIterator[None]:
    """Runs actions when the beat tells that they are due, within; what runs at the end is let end.

    Args:
        broker: where ticks come from.
        runners: the actions.
        backend_url: the Redis by which workers know what runs elsewhere.
    """
    ledger: Ledger = RedisLedger(backend_url) if backend_url else ProcessLedger()
    ends = []
    try:
        for runner in runners:
            ends.append(await broker.consume(runner.scheduled.queue(), _taking(runner, ledger)))
        yield
    finally:
        await asyncio.gather(*(end() for end in ends))
        await ledger.close()


def _taking(runner: Runner, ledger: Ledger) -> Callable[[Received], Awaitable[None]]:
    async def take(received: Received) -> None:
        due = _due(received.body)
        if runner.scheduled.action.allow_overlap:
            await runner.run(due)
            return
        if runner.is_running:
            log.info("%s still runs: %s is passed over", runner.scheduled.name, due.isoformat())
            return
        async with ledger.running(runner.scheduled.name) as is_free:
            if is_free:
                await runner.run(due)
            else:
                log.info("%s still runs elsewhere: %s is passed over", runner.scheduled.name, due.isoformat())

    return take


def _due(body: bytes) -> datetime:
    """Seconds since 1970, as the beat writes them; now, of anything else."""
    try:
        return datetime.fromtimestamp(int(body), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.now(UTC)
