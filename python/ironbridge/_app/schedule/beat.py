"""The beat: a process that tells workers when actions are due, and publishes messages whose time has come."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection
from datetime import datetime
from typing import Any

from ..._signals import until_signalled
from ...errors import ConfigurationError, IronbridgeError
from ..bus.backend import RedisMessageBrokerBackend, backend_of
from ..bus.broker import Broker, Outgoing
from ..bus.connecting import AIOPikaConnectionFactory, open_broker
from ..bus.memory import MemoryBroker
from ..core.lifecycle import Running, running
from ..core.microservice import Microservice
from ..http.health import readiness, told_by
from ..http.health_server import health_serving
from .actions import Runner, actions_of
from .ledger import Ledger, ProcessLedger, RedisLedger
from .scheduler import Scheduler, Start, scheduling

log = logging.getLogger("ironbridge.app.schedule")


class BeatWorker:
    """Tells workers when an application's actions are due. Several may run: each time is told once.

    Args:
        app: the application.
        interval: seconds between two looks for messages whose time has come.
        broker_url: the bus.
        backend_url: the Redis of times and delayed messages.
        scheduled_action_names: actions of these names alone.
        config: taken as the original has it.
        shutdown_event: ends it when it is set; made unless given.
        health: host and port of `/health/live` and `/health/ready`; nowhere unless given.
    """

    def __init__(
        self,
        app: Microservice,
        interval: float = 1,
        broker_url: str | None = None,
        backend_url: str | None = None,
        scheduled_action_names: Collection[str] | None = None,
        config: Any = None,
        shutdown_event: asyncio.Event | None = None,
        health: tuple[str, int] | None = None,
    ) -> None:
        self.health = health
        self.app, self.interval, self.broker_url, self.backend_url = app, interval, broker_url, backend_url
        self.names, self.shutdown = scheduled_action_names, shutdown_event

    async def run(self) -> None:
        """Runs until SIGINT or SIGTERM, or its event.

        Raises:
            ConfigurationError: there is no bus that workers could be told over, or the health endpoints' place is taken.
        """
        if self.broker_url is None:
            raise ConfigurationError("beat tells workers over a bus: give --broker-url amqp://…, or use `scheduler`")
        backend = backend_of(self.backend_url)
        broker = await open_broker(AIOPikaConnectionFactory(self.broker_url, message_broker_backend=backend))
        ledger: Ledger = RedisLedger(self.backend_url) if self.backend_url else ProcessLedger()
        shutdown = self.shutdown or self.app.shutdown_event or asyncio.Event()
        try:
            if isinstance(broker, MemoryBroker):
                raise ConfigurationError("a bus in process (memory://) has no beat: its server schedules by itself")
            async with health_serving(lambda: told_by([_Bus(broker)]), self.health):
                await self._beat(broker, backend, ledger, shutdown)
        finally:
            await ledger.close()
            await broker.close()

    async def _beat(
        self, broker: Broker, backend: RedisMessageBrokerBackend | None, ledger: Ledger, shutdown: asyncio.Event
    ) -> None:
        scheduler = Scheduler(ledger)
        actions = actions_of(self.app.controllers, self.names)
        for one in actions:
            await broker.declare(one.queue())
        tasks = [asyncio.create_task(scheduler.keep(one, _dispatching(broker, one.name))) for one in actions]
        if backend is not None:
            tasks.append(asyncio.create_task(self._drain(broker, backend)))
        log.info("%d actions are waited for", len(actions))
        try:
            with until_signalled(shutdown):
                await shutdown.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _drain(self, broker: Broker, backend: RedisMessageBrokerBackend) -> None:
        while True:
            try:
                count = await backend.drain(broker, time.time())
            except IronbridgeError as error:
                log.error("messages whose time has come wait on: %s", error)
                count = 0
            if not count:
                await asyncio.sleep(self.interval)


class _Bus:
    """The bus, for the readiness endpoint."""

    check_name = "bus"

    def __init__(self, broker: Broker) -> None:
        self.check = broker.check


def _dispatching(broker: Broker, name: str) -> Start:
    async def dispatch(due: datetime) -> None:
        await broker.publish(Outgoing(name, str(int(due.timestamp())).encode(), is_task=False, is_tick=True))

    return dispatch


async def schedule_here(
    app: Microservice,
    backend_url: str | None = None,
    grace: float = 20.0,
    health: tuple[str, int] | None = None,
) -> None:
    """Runs an application's actions in this process at their times, until SIGINT or SIGTERM.

    Args:
        app: the application.
        backend_url: the Redis by which processes agree who runs; this process alone unless given.
        grace: seconds for what runs at the end.
        health: host and port of `/health/live` and `/health/ready`; nowhere unless given.

    Raises:
        ConfigurationError: the application has no scheduled action, or the health endpoints' place is taken.
    """
    actions = actions_of(app.controllers)
    if not actions:
        raise ConfigurationError("nothing to do: the application has no ScheduledAction")
    ledger: Ledger = RedisLedger(backend_url) if backend_url else ProcessLedger()
    begun: list[Running] = []
    try:
        asked = health_serving(lambda: readiness(begun[0] if begun else None), health)
        async with asked, running(app, "beat") as process:
            begun.append(process)
            with until_signalled(process.shutdown):
                async with scheduling([Runner(process, one) for one in actions], ledger, grace):
                    await process.shutdown.wait()
    finally:
        await ledger.close()
