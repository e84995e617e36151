"""What an application raises of its own."""

from __future__ import annotations

from ..errors import ConfigurationError

__all__ = ["CyclicDependencyError", "DependencyError", "OutsideOfContextError"]


class DependencyError(ConfigurationError):
    """A dependency cannot be provided: nothing is registered for it, and it cannot be made."""


class CyclicDependencyError(DependencyError):
    """Dependencies need each other; the message tells the cycle."""


class OutsideOfContextError(ConfigurationError, LookupError):
    """Something of a unit of work was asked for outside one, or in one that has it not."""
