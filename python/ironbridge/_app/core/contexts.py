"""What runs now: the application, its container, and the request, message, tick or socket that it serves."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from ..errors import OutsideOfContextError
from ..reflect.controllers import ControllerMemberReflect
from .committing import Committing
from .container import Container

if TYPE_CHECKING:
    from fastapi import Request, Response, WebSocket

AppType = Literal["http", "worker", "beat"]


@dataclass(slots=True)
class HttpTransactionData:
    """A request, and the response that will be sent."""

    request: Request
    response: Response
    context_type: ClassVar[Literal["http"]] = "http"


@dataclass(slots=True)
class WebSocketTransactionData:
    """A websocket, for as long as its endpoint runs."""

    websocket: WebSocket
    context_type: ClassVar[Literal["websocket"]] = "websocket"


@dataclass(slots=True)
class MessageBusTransactionData:
    """A message that is processed.

    Attributes:
        topic: the queue that it came from.
        message: what the handler gets.
        message_type: its class.
        message_id: its id, where it has one.
        processing_attempt: which attempt this is, from 1.
        slot_wait_seconds: how long it waited here for a free place.
        headers: what came beside it.
    """

    topic: str
    message: Any
    message_type: type[Any] | None = None
    message_id: str | None = None
    processing_attempt: int = 1
    slot_wait_seconds: float = 0.0
    headers: Mapping[str, Any] = field(default_factory=dict)
    context_type: ClassVar[Literal["message_bus"]] = "message_bus"


@dataclass(slots=True)
class SchedulerTransactionData:
    """A run of a scheduled action.

    Attributes:
        task_name: the action's.
        triggered_at: when it was started.
        scheduled_to: when it was due.
        cron_expression: what it is scheduled by.
        slot_wait_seconds: how long it waited here for a free place.
    """

    task_name: str
    triggered_at: datetime
    scheduled_to: datetime
    cron_expression: str
    slot_wait_seconds: float = 0.0
    context_type: ClassVar[Literal["scheduler"]] = "scheduler"


TransactionData = HttpTransactionData | WebSocketTransactionData | MessageBusTransactionData | SchedulerTransactionData


@dataclass(slots=True)
class AppTransactionContext:
    """One unit of work: what it serves, and the method that runs."""

    transaction_data: TransactionData
    controller_member_reflect: ControllerMemberReflect
    _committing: Committing | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def committing(self) -> Committing:
        """What hangs on its commits; made when it is first asked for: most requests have no transaction."""
        if self._committing is None:
            self._committing = Committing()
        return self._committing


AppContext = AppTransactionContext

current_context: ContextVar[AppTransactionContext] = ContextVar("app_transaction_context")


class Place(NamedTuple):
    """The process that something runs in."""

    container: Container
    app_type: AppType


current_place: ContextVar[Place] = ContextVar("place")


def use_app_transaction_context() -> AppTransactionContext:
    """The unit of work that runs now.

    Raises:
        OutsideOfContextError: none does.
    """
    try:
        return current_context.get()
    except LookupError:
        raise OutsideOfContextError("no request, message, socket or scheduled action is being served here") from None


def use_app_tx_ctx_data() -> TransactionData:
    """What the unit of work that runs now serves.

    Raises:
        OutsideOfContextError: none runs.
    """
    return use_app_transaction_context().transaction_data


use_app_context = use_app_tx_ctx_data


def use_current_container() -> Container:
    """The container of the application that runs now.

    Raises:
        OutsideOfContextError: none does.
    """
    try:
        return current_place.get().container
    except LookupError:
        raise OutsideOfContextError("no application is running here") from None


def use_app_type() -> AppType:
    """Which of its processes the application runs in: `"http"`, `"worker"` or `"beat"`.

    Raises:
        OutsideOfContextError: it does not run here.
    """
    try:
        return current_place.get().app_type
    except LookupError:
        raise OutsideOfContextError("no application is running here") from None
