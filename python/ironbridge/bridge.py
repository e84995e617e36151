"""The bridge: a decorated class becomes a daemon that any process calls.

    import ironbridge.bridge as meta

    @meta.create("greeter").daemon()
    class Greeter:
        @meta.function
        def hello(self, name: str) -> str:
            return f"Hello, {name}!"

    meta.run()
    with meta.connect("greeter") as client:
        print(client.hello("world"))

Any further name of this module without a leading underscore is a decorator that makes a function
an endpoint of that name: `@meta.greet`.
"""
# Only what users may name is in this namespace: every other name here is a decorator. So there is
# no `from __future__`, and the modules behind it are not this package's.

from ironbridge._bridge.marks import Decorator as _Decorator
from ironbridge._bridge.marks import endpoint, function
from ironbridge._bridge.marks import unknown as _unknown
from ironbridge._bridge.registration import Registration, create, run
from ironbridge.errors import (
    AuthenticationError,
    CallCancelled,
    CircuitOpen,
    ConfigurationError,
    ConnectionLost,
    DeadlineExceeded,
    EndpointNotFound,
    InstanceEvicted,
    IronbridgeError,
    Overloaded,
    PayloadError,
    ProtocolError,
    RemoteExecutionError,
    ServiceAlreadyExists,
    ServiceNotFound,
    ServiceUnavailable,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ironbridge._bridge.aio import AsyncServiceClient, connect_async
    from ironbridge._bridge.client import Api, ServiceClient, connect
    from ironbridge._bridge.handle import DaemonHandle
    from ironbridge._engine import Call, current_call

__all__ = [
    "Api",
    "AsyncServiceClient",
    "AuthenticationError",
    "Call",
    "CallCancelled",
    "CircuitOpen",
    "ConfigurationError",
    "ConnectionLost",
    "DaemonHandle",
    "DeadlineExceeded",
    "EndpointNotFound",
    "InstanceEvicted",
    "IronbridgeError",
    "MetaBridgeError",
    "Overloaded",
    "PayloadError",
    "ProtocolError",
    "Registration",
    "RemoteExecutionError",
    "ServiceAlreadyExists",
    "ServiceClient",
    "ServiceNotFound",
    "ServiceUnavailable",
    "connect",
    "connect_async",
    "create",
    "current_call",
    "endpoint",
    "function",
    "run",
]

# The root's name in MetaBridge.
MetaBridgeError = IronbridgeError

# Loaded at first use: a daemon starts without them.
_LATER = {
    "Api": "ironbridge._bridge.client",
    "AsyncServiceClient": "ironbridge._bridge.aio",
    "Call": "ironbridge._engine",
    "DaemonHandle": "ironbridge._bridge.handle",
    "ServiceClient": "ironbridge._bridge.client",
    "connect": "ironbridge._bridge.client",
    "connect_async": "ironbridge._bridge.aio",
    "current_call": "ironbridge._engine",
}


def __getattr__(name: str) -> _Decorator:
    home = _LATER.get(name)
    if home is not None:
        found: _Decorator = getattr(__import__(home, fromlist=[name]), name)
        globals()[name] = found
        return found
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _unknown(name, __all__)


def __dir__() -> list[str]:
    return __all__
