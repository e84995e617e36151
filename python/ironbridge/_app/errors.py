"""What an application raises of its own."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigurationError, IronbridgeError, PayloadError

__all__ = [
    "CyclicDependencyError",
    "DependencyError",
    "FilterError",
    "MessagePayloadValidationError",
    "OutsideOfContextError",
]


class DependencyError(ConfigurationError):
    """A dependency cannot be provided: nothing is registered for it, and it cannot be made."""


class CyclicDependencyError(DependencyError):
    """Dependencies need each other; the message tells the cycle."""


class OutsideOfContextError(ConfigurationError, LookupError):
    """Something of a unit of work was asked for outside one, or in one that has it not."""


class MessagePayloadValidationError(PayloadError):
    """A message is not what its handler takes; it goes to the dead letters.

    Attributes:
        message_type: what the handler takes.
        error: pydantic's, which names each field that is wrong.
    """

    def __init__(self, message_type: type[Any] | None, error: Exception) -> None:
        name = message_type.__name__ if message_type is not None else "JSON"
        super().__init__(f"the message is no {name}: {error}")
        self.message_type, self.error = message_type, error


class FilterError(IronbridgeError, ValueError):
    """A client's filter or order that cannot be: HTTP answers 422."""
