"""Whether messages are kept in a database until the broker has them, and in which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ...errors import ConfigurationError
from .broker import Broker
from .memory import MemoryBroker

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from .outbox import Outbox


@dataclass(frozen=True)
class OutboxConfig:
    """How messages are kept until the broker has them.

    Args:
        connection_name: the database's; `default`, or the first, unless given.
        table: the table's name. It is made at start-up where it is missing.
        send_timeout: seconds that a unit of work waits for the broker, after its commit. Past that it has ended well
            all the same: the message is in the database, and is sent later.
        lease: seconds that a message is its process's; then any other may send it. Longer than `send_timeout`.
        poll: seconds between looks for messages that were left.
        max_refusals: how often a message is tried that nobody takes though the broker is there, or that cannot be sent as
            it is; then it is set aside.
        longest_wait: seconds between two such tries at most; they double from the lease on.
    """

    connection_name: str | None = None
    table: str = "ironbridge_outbox"
    send_timeout: float = 10.0
    lease: float = 20.0
    poll: float = 5.0
    max_refusals: int = 50
    longest_wait: float = 300.0

    def __post_init__(self) -> None:
        if not 0 < self.send_timeout < self.lease or self.poll <= 0:
            raise ConfigurationError(
                f"an outbox with send_timeout={self.send_timeout}, lease={self.lease}, poll={self.poll}: all are more "
                "than 0 s, and the lease is longer than the timeout, lest two processes send one message"
            )
        if self.max_refusals < 1 or self.longest_wait <= 0:
            raise ConfigurationError(
                f"an outbox with max_refusals={self.max_refusals}, longest_wait={self.longest_wait}: a message is tried "
                "once at least, and the wait is more than 0 s"
            )


@runtime_checkable
class Database(Protocol):
    """An interceptor that opens transactions."""

    @property
    def connection_name(self) -> str:
        """Its name, for `use_session`."""

    @property
    def engine(self) -> AsyncEngine:
        """The database."""


def outbox_of(interceptors: Iterable[Any], broker: Broker, wanted: OutboxConfig | bool) -> Outbox | None:
    """The outbox of an application; `None` where it has no database, or wants none.

    Raises:
        ConfigurationError: the database that is asked for is not there.
    """
    # A bus in process would lose what it has taken: to keep messages until then is of no use.
    if wanted is False or isinstance(broker, MemoryBroker):
        return None
    databases = {one.connection_name: one for one in interceptors if isinstance(one, Database)}
    config = OutboxConfig() if wanted is True else wanted
    if config.connection_name is None and not databases:
        return None
    name = config.connection_name or ("default" if "default" in databases else next(iter(databases)))
    if name not in databases:
        known = ", ".join(repr(one) for one in databases) or "none"
        raise ConfigurationError(f"the outbox is to be in the database {name!r}, and the application has {known}")
    from .outbox import Outbox  # SQLAlchemy is imported where it is used

    return Outbox(config, name, databases[name].engine, broker)
