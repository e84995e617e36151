"""Microservices for Python on one native engine.

`ironbridge.bridge` makes a decorated class a daemon that any process calls; `ironbridge.hub` makes it a service
among others around a ZeroMQ hub.
"""

from __future__ import annotations

from .errors import IronbridgeError
from .service import action, task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import bridge, errors, hub
    from ._engine import __version__

__all__ = ["IronbridgeError", "__version__", "action", "bridge", "errors", "hub", "task"]


def __getattr__(name: str) -> object:
    # The engine and the faces load at first use.
    if name == "__version__":
        from ._engine import __version__

        return __version__
    if name in __all__:
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
