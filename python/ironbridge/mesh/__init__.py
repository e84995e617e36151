"""A Moleculer node in Python: services that nodes in any language call, and that call them.

    from ironbridge.mesh import BaseService, Broker, action, event

    class Greeter(BaseService):
        def __init__(self, broker):
            super().__init__(broker, "greeter")

        @action()
        async def hello(self, params):
            return f"Hello, {params['name']}!"

    async def main():
        broker = Broker("node-1", redis_url="redis://localhost:6379/0")
        Greeter(broker)
        await broker.start()
        print(await broker.call("greeter.hello", {"name": "Alice"}))
        await broker.stop()

Times are in milliseconds, as Moleculer's are.
"""

from __future__ import annotations

from .._engine import MeshContext as Context
from .._mesh.broker import Broker
from .._mesh.decorators import action, channel, event
from .._mesh.errors import (
    BrokerDisconnectedError,
    BrokerOptionsError,
    GracefulStopTimeoutError,
    InvalidPacketDataError,
    MaxCallLevelError,
    MoleculerClientError,
    MoleculerError,
    MoleculerRetryableError,
    MoleculerServerError,
    ProtocolVersionMismatchError,
    QueueIsFullError,
    RequestRejectedError,
    RequestSkippedError,
    RequestTimeoutError,
    ServiceNotAvailableError,
    ServiceNotFoundError,
    ServiceSchemaError,
    ValidationError,
)
from .._mesh.registry import ActionInfo, EventInfo, NodeInfo, Registry, ServiceInfo
from .._mesh.service import BaseService, Service
from .._mesh.streams import MeshStream
from .._mesh.tracing.exporters import Exporter
from .._mesh.tracing.span import Span

__all__ = [
    "ActionInfo",
    "BaseService",
    "Broker",
    "BrokerDisconnectedError",
    "BrokerOptionsError",
    "Context",
    "EventInfo",
    "Exporter",
    "GracefulStopTimeoutError",
    "InvalidPacketDataError",
    "MaxCallLevelError",
    "MeshStream",
    "MoleculerClientError",
    "MoleculerError",
    "MoleculerRetryableError",
    "MoleculerServerError",
    "NodeInfo",
    "ProtocolVersionMismatchError",
    "QueueIsFullError",
    "Registry",
    "RequestRejectedError",
    "RequestSkippedError",
    "RequestTimeoutError",
    "Service",
    "ServiceInfo",
    "ServiceNotAvailableError",
    "ServiceNotFoundError",
    "ServiceSchemaError",
    "Span",
    "ValidationError",
    "action",
    "channel",
    "event",
]
