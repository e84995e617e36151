"""Errors of the fabric alone."""

from __future__ import annotations

from ..errors import ConfigurationError, ServiceUnavailable
from .failures import MessageSettled

__all__ = ["BrokerUnavailable", "IdentityError", "MessageSettled"]


class IdentityError(ConfigurationError, AttributeError):
    """A part of an identity is not what it may be: 1 to 63 of `A-Z a-z 0-9 - _`."""


class BrokerUnavailable(ServiceUnavailable):
    """The broker could not be reached within the time given to `open()`."""
