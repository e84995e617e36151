"""What tests lean on: child programs, private servers, a relay that misbehaves on demand, free ports."""

from harness.certificates import Authority
from harness.nats import Nats
from harness.net import free_port
from harness.postgres import Postgres
from harness.processes import Program, lenient, wait_until
from harness.rabbitmq import RabbitMQ
from harness.relay import DOWN, UP, Relay
from harness.servers import Mosquitto, PrivateServer, Redis
from harness.told import Told

__all__ = [
    "DOWN",
    "UP",
    "Authority",
    "Mosquitto",
    "Nats",
    "Postgres",
    "PrivateServer",
    "Program",
    "RabbitMQ",
    "Redis",
    "Relay",
    "Told",
    "free_port",
    "lenient",
    "wait_until",
]
