"""The handlers of an application: which queues they have, and what they take."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from ...errors import ConfigurationError
from ..reflect.controllers import ControllerMemberReflect, member_of
from ..reflect.decorators import members
from .broker import Queue
from .decorators import MessageBusController, MessageHandler, wanted
from .messages import UNSET_TOPIC


@dataclass(frozen=True)
class Handling:
    """One handler.

    Attributes:
        controller: its class.
        method: its name.
        handler: its decorator.
        member: it, as its decorators tell of it.
        topic: what it takes.
        message_cls: the class of its message; `None`: plain JSON.
        is_wrapped: whether it takes it in a `MessageOf`.
    """

    controller: type[Any]
    method: str
    handler: MessageHandler
    member: ControllerMemberReflect
    topic: str
    message_cls: type[BaseModel] | None
    is_wrapped: bool

    @property
    def name(self) -> str:
        """`module.Class.method`."""
        return f"{self.controller.__module__}.{self.controller.__qualname__}.{self.method}"

    def queue(self, prefetch: int) -> Queue:
        """Its queue."""
        return Queue(f"{self.topic}.{self.name}", self.topic, prefetch=prefetch)


def handlers_of(
    controllers: Iterable[type[Any]], names: Collection[str] | None = None, groups: Collection[str] | None = None
) -> list[Handling]:
    """The handlers of these controllers.

    Args:
        controllers: classes; those that are no `MessageBusController` have none.
        names: those of these names alone.
        groups: those of these groups alone.

    Raises:
        ConfigurationError: one of them takes no message, or its message has no topic.
    """
    found = []
    for controller in controllers:
        bus = MessageBusController.get_bound_from_type(controller, inherit=True, last=True)
        if bus is None:
            continue
        for method, function in members(controller):
            for handler in MessageHandler.get_all_from_method(controller, method, bus.inherit_methods_decorators):
                if (names is not None and handler.name not in names) or (
                    groups is not None and handler.group not in groups
                ):
                    continue
                message_cls, is_wrapped = wanted(function, handler)
                topic = handler.topic or str(getattr(message_cls, "MESSAGE_TOPIC", UNSET_TOPIC))
                if topic == UNSET_TOPIC:
                    raise ConfigurationError(
                        f"{function.__qualname__} handles {getattr(message_cls, '__qualname__', message_cls)}, which has no "
                        "topic: set its MESSAGE_TOPIC"
                    )
                member = member_of(controller, method)
                found.append(Handling(controller, method, handler, member, topic, message_cls, is_wrapped))
    return found
