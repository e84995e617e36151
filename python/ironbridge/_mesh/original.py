"""What programs that were written for the original import, whichever of its modules they name."""

from __future__ import annotations

from .._engine import MeshContext as Context
from .broker import Broker
from .decorators import action, event
from .loadbalance import LoadBalanceStrategy, RoundRobinStrategy
from .registry import ActionInfo, NodeInfo, Registry, ServiceInfo
from .service import BaseService

__all__ = [
    "ActionInfo",
    "BaseService",
    "Broker",
    "Context",
    "LoadBalanceStrategy",
    "NodeInfo",
    "Registry",
    "RoundRobinStrategy",
    "ServiceInfo",
    "action",
    "event",
]

# It stands in for a package, whose other modules are looked for then.
__path__: list[str] = []
