"""The bus's interceptor: a publisher for each unit of work, which sends when that has gone well."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ...errors import ConfigurationError
from ..core.container import Container
from ..core.contexts import AppTransactionContext
from ..core.lifecycle import Running
from ..core.microservice import Microservice
from .broker import Broker
from .connecting import AIOPikaConnectionFactory, open_broker
from .consuming import consuming
from .handlers import handlers_of
from .keeping import OutboxConfig, outbox_of
from .memory import MemoryBroker
from .publisher import MessagePublisher, reset_publisher, set_publisher

if TYPE_CHECKING:
    from .outbox import Outbox


class MessageBusPublisherInterceptor:
    """Gives each unit of work a publisher.

    What it publishes is sent when the unit of work has ended well, after its database transactions have been
    committed, and before the response; it waits until the broker has it. Where there is a database, the messages are
    committed with it and sent from there (see `OutboxConfig`), so that none is lost whatever dies. On a websocket,
    which has no such end, messages are sent at once. With a bus in process, a server handles the messages, too.

    Args:
        connection_factory: where the bus is: `AIOPikaConnectionFactory`, or a URL (`memory://`, `amqp://…`).
        connection_name: for `use_publisher`.
        outbox: how messages are kept in the database; `False`: not at all. A bus in process, which would lose them
            itself, has none.
        message_scheduler: as the original has it; the factory's backend does what it would.
        open_connection_at_end_of_transaction: as the original has it; here one connection stands all the time.
    """

    def __init__(
        self,
        connection_factory: AIOPikaConnectionFactory | str,
        connection_name: str = "default",
        message_scheduler: Any = None,
        *,
        open_connection_at_end_of_transaction: bool = False,
        outbox: OutboxConfig | bool = True,
    ) -> None:
        self.connection_factory, self.connection_name = connection_factory, connection_name
        self.outbox = outbox
        self._broker: Broker | None = None
        self._outbox: Outbox | None = None

    @property
    def broker(self) -> Broker:
        """The bus's broker, while the application runs.

        Raises:
            ConfigurationError: it does not.
        """
        if self._broker is None:
            raise ConfigurationError(f"the bus {self.connection_name!r} is not open: the application does not run")
        return self._broker

    @property
    def check_name(self) -> str:
        """For the readiness endpoint."""
        return f"bus {self.connection_name}"

    async def check(self) -> None:
        """Raises when the broker is not connected now."""
        await self.broker.check()

    @asynccontextmanager
    async def lifecycle(self, app: Microservice, container: Container) -> AsyncIterator[None]:
        """Opens the broker, and closes it at the end."""
        broker = self._broker = await open_broker(self.connection_factory)
        try:
            yield
        finally:
            self._broker = None
            await broker.close()

    @asynccontextmanager
    async def serving(self, process: Running) -> AsyncIterator[None]:
        """Handles the messages of a bus in process, which nobody else could; a server runs the scheduled actions, too."""
        from ..schedule.actions import Runner, actions_of
        from ..schedule.ledger import ProcessLedger
        from ..schedule.scheduler import scheduling

        async with AsyncExitStack() as stack:
            if (outbox := outbox_of(process.interceptors, self.broker, self.outbox)) is not None:
                await stack.enter_async_context(outbox.running())
                stack.callback(setattr, self, "_outbox", None)
                self._outbox = outbox
            controllers, is_here = process.app.controllers, isinstance(self.broker, MemoryBroker)
            if is_here and process.app_type != "worker":
                await stack.enter_async_context(consuming(process, self.broker, handlers_of(controllers)))
            if is_here and process.app_type == "http":
                runners = [Runner(process, one) for one in actions_of(controllers)]
                await stack.enter_async_context(scheduling(runners, ProcessLedger()))
            yield

    def intercept(self, app_context: AppTransactionContext) -> AbstractAsyncContextManager[None]:
        """One unit of work's publisher."""
        at_once = app_context.transaction_data.context_type == "websocket"
        publisher = MessagePublisher(self.broker, at_once=at_once, outbox=self._outbox)
        return _Publishing(app_context, publisher, self.connection_name)


class _Publishing:
    """One unit of work's publisher, which sends when that has ended well."""

    __slots__ = ("_context", "_name", "_providing", "_publisher")

    def __init__(self, context: AppTransactionContext, publisher: MessagePublisher, name: str) -> None:
        self._context, self._publisher, self._name = context, publisher, name

    async def __aenter__(self) -> None:
        self._context.committing.join(self._publisher)
        self._providing = set_publisher(self._publisher, self._name)

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        reset_publisher(self._providing)
        if kind is None:
            await self._context.committing.complete()


def default_interceptors(app: Microservice) -> list[Any]:
    """The bus of an application that names none, and has handlers or scheduled actions: in process, its own."""
    from .decorators import MessageBusController

    has_one = any(isinstance(one, MessageBusPublisherInterceptor) for one in app.interceptors)
    needs_one = any(MessageBusController.get_bound_from_type(one) for one in app.controllers)
    return [] if has_one or not needs_one else [MessageBusPublisherInterceptor(f"memory://app-{id(app):x}")]
