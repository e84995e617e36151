"""What is set by the environment; by default, nothing outside of this process is needed."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class AppConfig:
    """The settings.

    Attributes:
        database_url: as SQLAlchemy's, with an asynchronous driver.
        bus_url: `memory://NAME`, or `amqp://…?exchange=NAME`.
        redis_url: where instances meet for websockets, logins that were revoked, and messages that wait; "" for one process.
        secret: signs the tokens of those who have logged in.
        password: everybody's, in this example.
    """

    database_url: str
    bus_url: str
    redis_url: str
    secret: str
    password: str

    @classmethod
    def provider(cls) -> "AppConfig":
        """Those of this process."""
        return cls(
            database_url=os.environ.get("DATABASE_URL", "sqlite+aiosqlite:///db.sqlite3"),
            bus_url=os.environ.get("BUS_URL", "memory://tasks"),
            redis_url=os.environ.get("REDIS_URL", ""),
            secret=os.environ.get("SECRET", "only for development"),
            password=os.environ.get("PASSWORD", "tasks"),
        )


SCHEDULE = os.environ.get("TASKS_SCHEDULE", "* * * * * */20")
"""When a task appears by itself; the seconds come last."""
