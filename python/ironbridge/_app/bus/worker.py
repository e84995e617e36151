"""The worker: a process that handles an application's messages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Any, TypeGuard

from ..._signals import until_signalled
from ...errors import ConfigurationError
from ..core.lifecycle import Running, running
from ..core.microservice import Microservice
from ..http.health import readiness
from ..http.health_server import health_serving
from .connecting import AIOPikaConnectionFactory
from .consuming import consuming
from .handlers import handlers_of
from .interceptor import MessageBusPublisherInterceptor
from .memory import MemoryBroker

log = logging.getLogger("ironbridge.app.worker")


class MessageBusWorker:
    """Handles an application's messages.

    Args:
        app: the application.
        broker_url: its bus; that of its `MessageBusPublisherInterceptor` unless given.
        backend_url: the Redis that keeps messages until their time; the broker does unless given.
        handler_names, handler_groups: handlers of these alone.
        grace: seconds for what runs at the end.
        health: host and port of `/health/live` and `/health/ready`; nowhere unless given.
    """

    def __init__(
        self,
        app: Microservice,
        broker_url: str | None = None,
        backend_url: str | None = None,
        handler_names: Collection[str] | None = None,
        handler_groups: Collection[str] | None = None,
        grace: float = 20.0,
        health: tuple[str, int] | None = None,
    ) -> None:
        self.grace, self.health = grace, health
        self._process: Running | None = None
        self.app, self.broker_url, self.backend_url = app, broker_url, backend_url
        self.handler_names, self.handler_groups = handler_names, handler_groups

    def start_sync(self) -> None:
        """Runs until SIGINT or SIGTERM. See `start_async`."""
        asyncio.run(self.start_async())

    async def start_async(self) -> None:
        """Runs until SIGINT or SIGTERM, or the application's `shutdown_event`; what runs then is let end.

        Raises:
            ConfigurationError: the application has no handler, its bus is in process (then the server handles its
                messages, and a worker would never see one), or the health endpoints' place is taken.
        """
        from ..schedule.actions import Runner, actions_of
        from ..schedule.ticking import ticking

        app = self._with_bus()
        handlers = handlers_of(app.controllers, self.handler_names, self.handler_groups)
        actions = actions_of(app.controllers, self.handler_names, self.handler_groups)
        if not handlers and not actions:
            raise ConfigurationError(
                "nothing to do: the application has no message handler and no scheduled action of these names and groups"
            )
        async with health_serving(lambda: readiness(self._process), self.health), running(app, "worker") as process:
            bus = _bus(process.interceptors)
            if isinstance(bus.broker, MemoryBroker):
                raise ConfigurationError(
                    "the application's bus is in process (memory://): its server handles the messages; give the worker "
                    "--broker-url amqp://…, and the application a MessageBusPublisherInterceptor for the same"
                )
            with until_signalled(process.shutdown):
                runners = [Runner(process, one) for one in actions]
                async with consuming(process, bus.broker, handlers), ticking(bus.broker, runners, self.backend_url):
                    log.info("%d handlers and %d actions wait for messages", len(handlers), len(actions))
                    self._process = process
                    await process.shutdown.wait()

    def _with_bus(self) -> Microservice:
        """The application, with the bus that was named."""
        if self.broker_url is None:
            return self.app
        from .backend import backend_of

        backend = backend_of(self.backend_url)
        factory = AIOPikaConnectionFactory(self.broker_url, message_broker_backend=backend, grace=self.grace)
        own = next((one for one in self.app.interceptors if _is_default_bus(one)), None)
        interceptors: list[Any] = [MessageBusPublisherInterceptor(factory, outbox=own.outbox if own else True)]
        interceptors += [one for one in self.app.interceptors if not _is_default_bus(one)]
        return Microservice(
            self.app.providers,
            self.app.controllers,
            interceptors,
            self.app.shutdown_event,
            self.app.startup_complete_event,
        )


def _is_default_bus(interceptor: Any) -> TypeGuard[MessageBusPublisherInterceptor]:
    return isinstance(interceptor, MessageBusPublisherInterceptor) and interceptor.connection_name == "default"


def _bus(interceptors: Collection[Any]) -> MessageBusPublisherInterceptor:
    for one in interceptors:
        if isinstance(one, MessageBusPublisherInterceptor):
            return one
    raise ConfigurationError("the application has no bus: give the worker --broker-url amqp://…")


def create_messagebus_worker(app: Microservice, **given: Any) -> None:
    """Runs an application's worker until SIGINT or SIGTERM. See `MessageBusWorker` for what else can be given."""
    MessageBusWorker(app, **given).start_sync()
