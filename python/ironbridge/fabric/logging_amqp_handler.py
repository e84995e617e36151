"""The handler for log records, where amqp-fabric has it."""

from .._fabric.logging_handler import AmqpHandler

__all__ = ["AmqpHandler"]
