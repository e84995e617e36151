"""The hub: services around ZeroMQ, each a class with actions and tasks.

    import asyncio
    from ironbridge.hub import MicroService

    class Greeter:
        @MicroService.action
        async def hello(self, service, data):
            return f"Hello, {data}!"

    service = MicroService(Greeter(), sender_endpoint="ipc:///tmp/sender", receiver_endpoint="ipc:///tmp/receiver")
    asyncio.run(service.run())

The first service on a machine is the hub as well, unless a `Server` (or `ironbridge hub`) is there. The wire is that
of aiofase and its siblings: services of either kind meet at a hub of either kind.
"""

from __future__ import annotations

from ._hub.microservice import MicroService
from ._hub.options import HubOptions, Options
from ._hub.serializers import Serializer
from ._hub.server import Server
from ._hub.session import Stopping
from ._hub.talking import CALL_ALL_TIMEOUT
from .errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionLost,
    DeadlineExceeded,
    EndpointNotFound,
    IronbridgeError,
    Overloaded,
    PayloadError,
    ProtocolError,
    RemoteExecutionError,
    ServiceAlreadyExists,
    ServiceNotFound,
    ServiceUnavailable,
)

__all__ = [
    "CALL_ALL_TIMEOUT",
    "AuthenticationError",
    "ConfigurationError",
    "ConnectionLost",
    "DeadlineExceeded",
    "EndpointNotFound",
    "HubOptions",
    "IronbridgeError",
    "MicroService",
    "Options",
    "Overloaded",
    "PayloadError",
    "ProtocolError",
    "RemoteExecutionError",
    "Serializer",
    "Server",
    "ServiceAlreadyExists",
    "ServiceNotFound",
    "ServiceUnavailable",
    "Stopping",
]
