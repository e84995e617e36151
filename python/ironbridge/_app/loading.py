"""The application that a command line names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from .core.microservice import Microservice


def microservice_of(found: Any) -> Microservice:
    """The application itself, of one or of an `HttpMicroservice`.

    Raises:
        ConfigurationError: it is neither.
    """
    from .core.microservice import Microservice

    inner = getattr(found, "app", found)
    if isinstance(inner, Microservice):
        return inner
    raise ConfigurationError(
        f"a {type(found).__qualname__} is no application: name a Microservice or an HttpMicroservice"
    )
