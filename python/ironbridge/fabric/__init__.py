"""Services at an AMQP broker: they call each other, publish and take streams of data, see who is there, and log.

It speaks the wire of amqp-fabric over RabbitMQ:

    from ironbridge.fabric import AbstractServiceApi, AmqBrokerConnector

    class Calculator(AbstractServiceApi):
        def multiply(self, x, y):
            return x * y

    async with AmqBrokerConnector(
        amqp_uri="amqp://guest:guest@127.0.0.1/", service_domain="shop", service_type="calculator", service_id="one"
    ) as amq:
        await amq.rpc_register(Calculator())

`python -m ironbridge.compat program.py` runs a program that was written for amqp-fabric, unchanged.
"""

from __future__ import annotations

from .._engine import FabricCall, IncomingMessage
from .._fabric.current import current_call
from .._fabric.errors import BrokerUnavailable, IdentityError, MessageSettled
from .._fabric.marks import action
from .._fabric.proxy import ServiceProxy
from .._fabric.subscription import Subscription
from ..errors import (
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
    ServiceUnavailable,
)
from .abstract_service_api import AbstractServiceApi
from .amq_broker_connector import AmqBrokerConnector
from .logging_amqp_handler import AmqpHandler

__all__ = [
    "AbstractServiceApi",
    "AmqBrokerConnector",
    "AmqpHandler",
    "AuthenticationError",
    "BrokerUnavailable",
    "ConfigurationError",
    "ConnectionLost",
    "DeadlineExceeded",
    "EndpointNotFound",
    "FabricCall",
    "IdentityError",
    "IncomingMessage",
    "IronbridgeError",
    "MessageSettled",
    "Overloaded",
    "PayloadError",
    "ProtocolError",
    "RemoteExecutionError",
    "ServiceAlreadyExists",
    "ServiceProxy",
    "ServiceUnavailable",
    "Subscription",
    "action",
    "current_call",
]
