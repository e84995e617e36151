"""`api=`: what a protocol promises, checked against what the service has, and the classes it names."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any

from .. import _signatures
from ..errors import EndpointNotFound

if TYPE_CHECKING:
    from .described import Description

# What `Api` itself adds is the client's own.
_CLIENT_S_OWN = frozenset(("close", "call", "with_options", "batch", "endpoints", "describe", "stats"))


def promised(api: Any) -> dict[str, FunctionType]:
    """The public methods of a protocol or class, inherited ones too."""
    found: dict[str, FunctionType] = {}
    for base in reversed(api.__mro__):
        for name, member in vars(base).items():
            function = getattr(member, "__func__", member)
            if isinstance(function, FunctionType) and not name.startswith("_") and name not in _CLIENT_S_OWN:
                found[name] = function
    return found


def classes_of(api: Any) -> dict[str, type]:
    """The classes that values may be rebuilt as, by `module:qualname`."""
    return _signatures.classes(promised(api).values())


def require(description: Description, api: Any) -> None:
    """Checks that the service has every endpoint that the protocol promises.

    Only a protocol promises: a class (the service's own, say) may have methods that are no endpoints.

    Raises:
        EndpointNotFound: it lacks one; the message names all that it lacks.
    """
    if not getattr(api, "_is_protocol", False):
        return
    missing = [name for name in promised(api) if name not in description.all_names()]
    if missing:
        raise EndpointNotFound(
            f"service {description.service!r} is no {api.__qualname__}: it lacks {', '.join(missing)} "
            f"(it has {', '.join(description.names())})",
            service=description.service,
            endpoint=missing[0],
        )
