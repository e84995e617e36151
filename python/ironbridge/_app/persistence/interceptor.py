"""The database's interceptor: a session and a transaction for each unit of work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from .. import const
from ..core.container import Container
from ..core.contexts import AppTransactionContext
from ..core.microservice import Microservice
from .sessions import DEFAULT, is_wanted, providing_maker, providing_session


@dataclass(init=False)
class AIOSQAConfig:
    """A database.

    Args:
        connection_name: for `use_session`.
        url: as SQLAlchemy's, with an asynchronous driver (`sqlite+aiosqlite:///db.sqlite3`), or an engine.
        inject_default: whether units of work have a session of it that do not say.
        engine_options: for SQLAlchemy's `create_async_engine`: `echo`, `pool_size` …

    Two texts in order are told apart by what they are: the one with `://` is the URL.
    """

    connection_name: str
    url: str | AsyncEngine
    inject_default: bool

    def __init__(self, *args: Any, inject_default: bool = True, **given: Any) -> None:
        values = list(args)
        if len(values) > 2 and isinstance(values[2], bool):
            inject_default = values.pop(2)
        for value in values:
            is_url = isinstance(value, AsyncEngine) or "://" in str(value)
            given.setdefault("url" if is_url else "connection_name", value)
        self.connection_name = given.pop("connection_name", DEFAULT)
        self.url = given.pop("url")
        self.inject_default = inject_default
        self.engine_options: dict[str, Any] = given.pop("engine_options", None) or given


class AIOSqlAlchemySessionInterceptor:
    """Gives each unit of work a session, in a transaction that is committed when it ends well, and rolled back when it
    does not. A websocket, which may stay open for days, has none unless it asks (`uses_persistence_session`)."""

    def __init__(self, config: AIOSQAConfig) -> None:
        self.config = config
        self._engine: AsyncEngine | None = None

    @property
    def connection_name(self) -> str:
        """Its name, for `use_session`."""
        return self.config.connection_name

    @property
    def engine(self) -> AsyncEngine:
        """The engine; made at first use."""
        if self._engine is None:
            url = self.config.url
            self._engine = url if isinstance(url, AsyncEngine) else _engine_of(url, self.config.engine_options)
        return self._engine

    @property
    def check_name(self) -> str:
        """For the readiness endpoint."""
        return f"database {self.connection_name}"

    async def check(self) -> None:
        """Asks the database; raises when it does not answer."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    @asynccontextmanager
    async def lifecycle(self, app: Microservice, container: Container) -> AsyncIterator[None]:
        """Lets the connections go at the end."""
        self._maker = async_sessionmaker(self.engine, expire_on_commit=False)
        container.register(self.engine, AsyncEngine)
        try:
            yield
        finally:
            if not isinstance(self.config.url, AsyncEngine):
                await self.engine.dispose()
                self._engine = None

    @asynccontextmanager
    async def intercept(self, app_context: AppTransactionContext) -> AsyncIterator[None]:
        """One unit of work's transaction."""
        name = self.config.connection_name
        by_default = self.config.inject_default and app_context.transaction_data.context_type != "websocket"
        with providing_maker(self._maker, name):
            if not is_wanted(name, by_default):
                yield
                return
            committing = app_context.committing
            with committing.transaction():
                async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin() as transaction:
                    with providing_session(session, transaction, name):
                        yield
                    await committing.prepare(name, session)
            await committing.complete()


def _engine_of(url: str, options: Mapping[str, Any]) -> AsyncEngine:
    pool = {
        "pool_size": const.DB_POOL_SIZE,
        "max_overflow": const.DB_MAX_OVERFLOW,
        "pool_timeout": const.DB_POOL_TIMEOUT,
        "pool_recycle": const.DB_POOL_RECYCLE,
    }
    # SQLite in memory has no pool to size, and neither may one of the user's choice.
    is_sized = make_url(url).get_backend_name() != "sqlite" and "poolclass" not in options
    said = {name: value for name, value in pool.items() if is_sized and value is not None}
    return create_async_engine(url, **{"echo": const.DB_ECHO, **said, **options})
