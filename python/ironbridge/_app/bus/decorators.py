"""What makes a class a controller of messages, and its methods handlers."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from ...errors import ConfigurationError
from ..core.container import _hints as hints
from ..environment import flag, number, text
from ..reflect.decorators import StackableDecorator
from .messages import Message, MessageOf
from .retrying import RetryPolicy

ExceptionHandler = Callable[[BaseException], Any]


class MessageBusController(StackableDecorator):
    """Makes a class a controller of messages and scheduled actions.

    Args:
        inherit_class_decorators: whether decorators of the classes that it derives from count.
        inherit_methods_decorators: whether decorators of the methods that it overrides count.
    """

    def __init__(self, *, inherit_class_decorators: bool = True, inherit_methods_decorators: bool = True) -> None:
        self.inherit_class_decorators = inherit_class_decorators
        self.inherit_methods_decorators = inherit_methods_decorators


class MessageHandler(StackableDecorator):
    """Makes a method the handler of a message's class.

    A handler that returns acknowledges its message. One that raises rolls back what its unit of work has done, and
    its message goes to the dead letters, or is tried again.

    Args:
        message_cls: the class.
        timeout: seconds that it may run; then it has failed.
        exception_handler: called with what it raised, in place of the log.
        nack_on_exception: whether a message that failed is tried again, as `retry_config` says.
        nack_delay_on_exception: seconds before a message that failed, and is not tried again, is rejected.
        auto_ack: whether the message is acknowledged before the handler runs: it is lost if that fails.
        name: for `worker --handlers`.
        retry_config: how often it is tried again, and when.
        group: for `worker --groups`.
        channel_id: handlers of one channel share its prefetch.
    """

    topic: str | None = None
    """The topic of a handler by topic alone; `None` for that of a class."""

    acks_itself: bool = False
    """Whether a message is open until the handler says what becomes of it."""

    def __init__(
        self,
        message_cls: type[BaseModel],
        *,
        timeout: float | None = None,
        exception_handler: ExceptionHandler | None = None,
        nack_on_exception: bool | None = None,
        nack_delay_on_exception: float | None = None,
        auto_ack: bool | None = None,
        name: str | None = None,
        retry_config: RetryPolicy | None = None,
        group: str | None = None,
        channel_id: str | None = None,
    ) -> None:
        self.message_cls: type[BaseModel] | None = message_cls
        self.timeout = timeout if timeout is not None else number("MESSAGEBUS_HANDLER_TIMEOUT", None)
        self.exception_handler = exception_handler
        self.nack_on_exception = _given(nack_on_exception, flag("MESSAGEBUS_NACK_ON_EXCEPTION", False))
        self.nack_delay_on_exception = _given(
            nack_delay_on_exception, number("MESSAGEBUS_NACK_DELAY_ON_EXCEPTION", 5.0)
        )
        self.auto_ack = _given(auto_ack, flag("MESSAGEBUS_AUTO_ACK", False))
        self.name, self.retry_config = name, retry_config
        self.group = group or text("MESSAGEBUS_HANDLER_GROUP") or "DEFAULT"
        self.channel_id = channel_id or text("MESSAGEBUS_CHANNEL_ID")

    def decorated(self, subject: Any) -> None:
        """Refuses what no handler can be.

        Raises:
            ConfigurationError: it is not `async def`, or takes no message.
        """
        if not inspect.iscoroutinefunction(subject):
            raise ConfigurationError(f"{subject.__qualname__} handles messages: write it as `async def`")
        if len(inspect.signature(subject).parameters) < 2:
            raise ConfigurationError(f"{subject.__qualname__} handles messages: give it a parameter for the message")


class IncomingHandler(MessageHandler):
    """Makes a method the handler of a topic; its parameter's annotation tells the class: `Message[Model]`.

    Args:
        topic: the topic.
        timeout, exception_handler, nack_on_exception: as `MessageHandler`'s.
        auto_ack: whether the message is acknowledged when the handler returns; otherwise the handler does it.
    """

    def __init__(
        self,
        topic: str,
        timeout: float | None = None,
        exception_handler: ExceptionHandler | None = None,
        nack_on_exception: bool = False,
        auto_ack: bool = True,
    ) -> None:
        super().__init__(
            Message,
            timeout=timeout,
            exception_handler=exception_handler,
            nack_on_exception=nack_on_exception,
            nack_delay_on_exception=0.0,
            auto_ack=False,
        )
        self.message_cls, self.topic = None, topic
        self.acks_itself = not auto_ack


def wanted(function: Callable[..., Any], handler: MessageHandler) -> tuple[type[BaseModel] | None, bool]:
    """What a handler takes: the class of its message, if it has one, and whether it takes it in a `MessageOf`.

    Raises:
        ConfigurationError: its annotation is neither.
    """
    parameter = list(inspect.signature(function).parameters)[1]
    annotation = hints(function).get(parameter, inspect.Parameter.empty)
    if annotation in (MessageOf, inspect.Parameter.empty, Any):
        return handler.message_cls, True
    is_wrapped = typing.get_origin(annotation) is MessageOf
    said = typing.get_args(annotation)[0] if is_wrapped else annotation
    declared = handler.message_cls
    if isinstance(said, type) and issubclass(said, BaseModel):
        if declared is not None and not issubclass(declared, said):
            raise ConfigurationError(
                f"{function.__qualname__}({parameter}: {annotation}) handles {declared.__qualname__}: annotate its "
                "message so, or name the other class in its decorator"
            )
        return declared or said, is_wrapped
    if is_wrapped:
        return declared, True
    raise ConfigurationError(
        f"{function.__qualname__}({parameter}: {annotation}): annotate the message as MessageOf[Model] or as Model"
    )


def _given(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
