"""The manager of websockets that the code of an application speaks to, and its interceptor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from ..core.container import Container
from ..core.contexts import AppTransactionContext
from ..core.microservice import Microservice
from ..errors import OutsideOfContextError
from .backend import MemoryWebSocketConnectionBackend, WebSocketConnectionBackend
from .clients import Clients
from .messages import WebSocketMessageBase

if TYPE_CHECKING:
    from starlette.websockets import WebSocket


class WebSocketConnectionManager(Protocol):
    """Sends to websockets, of this instance and all others."""

    async def broadcast(self, message: bytes) -> None:
        """Sends data to all."""

    async def send(self, rooms: Sequence[str], message: WebSocketMessageBase | bytes) -> None:
        """Sends a message to those in rooms."""

    async def join(self, rooms: Sequence[str], websocket: WebSocket) -> None:
        """Has a websocket be in rooms, too."""

    async def add_websocket(self, websocket: WebSocket) -> None:
        """A websocket that gets broadcasts from now on."""

    async def remove_websocket(self, websocket: WebSocket) -> None:
        """A websocket that gets nothing any more."""


class Manager:
    """The manager of one process."""

    def __init__(self, backend: WebSocketConnectionBackend) -> None:
        self._backend = backend
        self.clients = Clients()

    async def broadcast(self, message: bytes) -> None:
        """Sends data to all websockets of all instances, now."""
        await self._backend.broadcast(message)

    async def send(self, rooms: Sequence[str], message: WebSocketMessageBase | bytes) -> None:
        """Sends a message to those in rooms, at all instances, now."""
        data = message.encoded() if isinstance(message, WebSocketMessageBase) else message
        await self._backend.send(list(rooms), data)

    async def join(self, rooms: Sequence[str], websocket: WebSocket) -> None:
        """Has a websocket be in rooms, too."""
        self.clients.join(rooms, websocket)

    async def leave(self, rooms: Sequence[str], websocket: WebSocket) -> None:
        """Has a websocket be in rooms no more."""
        self.clients.leave(rooms, websocket)

    async def add_websocket(self, websocket: WebSocket) -> None:
        """A websocket that gets broadcasts from now on."""
        self.clients.add(websocket)

    async def remove_websocket(self, websocket: WebSocket) -> None:
        """A websocket that gets nothing any more."""
        self.clients.remove(websocket)

    async def presence(self, room: str) -> int:
        """How many websockets are in a room, at all instances."""
        return await self._backend.presence(room)


_managers: ContextVar[WebSocketConnectionManager] = ContextVar("websockets")
_staged: ContextVar[Staged | None] = ContextVar("staged", default=None)


def use_ws_manager() -> Any:
    """The manager of the application that runs now.

    Raises:
        OutsideOfContextError: nothing runs that has one.
    """
    try:
        return _managers.get()
    except LookupError:
        raise OutsideOfContextError(
            "there are no websockets here: call it in a request, message, socket or scheduled action of an application "
            "that has a WebSocketEndpoint or a WebSocketInterceptor"
        ) from None


@contextmanager
def provide_ws_manager(manager: WebSocketConnectionManager) -> Iterator[None]:
    """Has `use_ws_manager` give this one within."""
    token = _managers.set(manager)
    try:
        yield
    finally:
        _managers.reset(token)


class Staged:
    """What a unit of work sends when it has ended well, and its transactions are committed."""

    def __init__(self, manager: WebSocketConnectionManager) -> None:
        self._manager = manager
        self._messages: list[tuple[list[str], WebSocketMessageBase]] = []

    def add(self, rooms: list[str], message: WebSocketMessageBase) -> None:
        """One more message."""
        self._messages.append((rooms, message))

    async def before_commit(self, connection_name: str, session: Any) -> None:
        """Nothing: messages to websockets are for those who listen now, and not kept."""

    async def after_commit(self) -> None:
        """Sends them."""
        messages, self._messages = self._messages, []
        for rooms, message in messages:
            await self._manager.send(rooms, message)


async def stage(rooms: list[str], message: WebSocketMessageBase) -> None:
    """Sends a message when the unit of work that runs now has ended well; at once where none waits for its end."""
    staged = _staged.get()
    if staged is None:
        await use_ws_manager().send(rooms, message)
    else:
        staged.add(rooms, message)


class WebSocketInterceptor:
    """Gives each unit of work the manager of websockets.

    Args:
        backend: what carries messages between instances; without one they stay in this process.
    """

    def __init__(self, backend: WebSocketConnectionBackend | None = None) -> None:
        self.backend = backend or MemoryWebSocketConnectionBackend()
        self._manager: Manager | None = None

    @property
    def check_name(self) -> str:
        """For the readiness endpoint."""
        return "websockets"

    async def check(self) -> None:
        """Raises when messages of other instances do not come now."""
        if (check := getattr(self.backend, "check", None)) is not None:
            await check()

    @asynccontextmanager
    async def lifecycle(self, app: Microservice, container: Container) -> AsyncIterator[None]:
        """Subscribes on the loop that serves, and ends all at the end."""
        manager = self._manager = Manager(self.backend)
        await self.backend.start(manager.clients.deliver, manager.clients.counts)
        try:
            yield
        finally:
            self._manager = None
            await manager.clients.close()
            await self.backend.stop()

    @asynccontextmanager
    async def intercept(self, app_context: AppTransactionContext) -> AsyncIterator[None]:
        """One unit of work."""
        assert self._manager is not None
        is_socket = app_context.transaction_data.context_type == "websocket"
        staged = None
        if not is_socket:
            staged = Staged(self._manager)
            app_context.committing.join(staged)
        token = _staged.set(staged)
        try:
            with provide_ws_manager(self._manager):
                yield
        finally:
            _staged.reset(token)
            if is_socket:
                # Whatever way its endpoint ended, nothing can be sent to it any more.
                await self._manager.remove_websocket(app_context.transaction_data.websocket)  # type: ignore[union-attr]
        await app_context.committing.complete()


def default_interceptors(app: Microservice) -> list[Any]:
    """The websockets of an application that has endpoints of them, and names no interceptor: within one process."""
    from ..http.decorators import WebSocketEndpoint
    from ..reflect.decorators import members

    if any(isinstance(one, WebSocketInterceptor) for one in app.interceptors):
        return []
    has_endpoint = any(WebSocketEndpoint.get(function) for one in app.controllers for _, function in members(one))
    return [WebSocketInterceptor()] if has_endpoint else []
