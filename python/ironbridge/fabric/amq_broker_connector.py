"""The connector, where amqp-fabric has it."""

from .._fabric.connector import AmqBrokerConnector

__all__ = ["AmqBrokerConnector"]
