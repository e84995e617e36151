"""How a bus is named, and opened: by a URL, or a factory in the original's words."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from ...errors import ConfigurationError
from .amqp import AmqpAddress, AmqpBroker
from .backend import RedisMessageBrokerBackend
from .broker import Broker
from .memory import MemoryBroker


@dataclass(frozen=True)
class GenericPoolConfig:
    """A pool's size. Here one connection serves all, so that it changes nothing."""

    max_size: int


@dataclass(frozen=True)
class AIOPikaConnectionFactory:
    """A bus at RabbitMQ.

    Args:
        url: `amqp://user:password@host:port/vhost`, or `amqps://…`.
        exchange: the bus's exchange; the URL's, or `jararaca_ex`, unless given.
        connection_pool_config, channel_pool_config: taken, and not needed.
        message_broker_backend: what keeps messages until their time; RabbitMQ itself does unless given.
        grace: seconds for what runs, and is on its way, at the end.
    """

    url: str
    exchange: str | None = None
    connection_pool_config: GenericPoolConfig | None = None
    channel_pool_config: GenericPoolConfig | None = None
    message_broker_backend: RedisMessageBrokerBackend | None = None
    grace: float = 10.0


async def open_broker(where: AIOPikaConnectionFactory | str) -> Broker:
    """Opens a bus's broker.

    Args:
        where: a factory, or a URL: `memory://NAME`, `amqp://…`, `amqps://…`.

    Raises:
        ConfigurationError: it is neither.
        ServiceUnavailable, AuthenticationError: RabbitMQ cannot be reached, or does not want this user.
    """
    factory = where if isinstance(where, AIOPikaConnectionFactory) else AIOPikaConnectionFactory(where)
    scheme = urlsplit(factory.url).scheme
    if scheme == "memory":
        return MemoryBroker.named(factory.url.partition("://")[2])
    if scheme not in ("amqp", "amqps"):
        raise ConfigurationError(f"a bus at {scheme!r}: give memory://, amqp:// or amqps://")
    address = AmqpAddress.parse(factory.url, factory.exchange)
    broker = AmqpBroker(address, factory.message_broker_backend, factory.grace)
    await broker.open()
    return broker


def with_parts(
    url: str | None, username: str | None, password: str | None, exchange: str | None, prefetch_count: int | None
) -> str | None:
    """A bus's URL with parts that are given beside it; one on this machine when parts alone are.

    Raises:
        ConfigurationError: a part is given for a bus in process.
    """
    parts = {"exchange": exchange, "prefetch_count": prefetch_count}
    given = {name: str(value) for name, value in parts.items() if value is not None}
    if not given and username is None and password is None:
        return url
    split = urlsplit(url or "amqp://guest:guest@localhost/")
    if split.scheme == "memory":
        raise ConfigurationError("a bus in process has no user, exchange or prefetch count")
    user = quote(username, safe="") if username is not None else split.username or "guest"
    word = quote(password, safe="") if password is not None else split.password or "guest"
    place = split.netloc.rpartition("@")[2]
    query = urlencode({**dict(parse_qsl(split.query)), **given})
    return urlunsplit(split._replace(netloc=f"{user}:{word}@{place}", query=query))
