"""Sessions: which database a unit of work speaks to, by the connection's name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction, async_sessionmaker

from ..errors import OutsideOfContextError
from ..reflect.metadata import SetMetadata, get_metadata_value

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Current:
    """What a unit of work has of one connection."""

    session: AsyncSession
    transaction: AsyncSessionTransaction | None


_EMPTY: Mapping[str, Current] = {}
_sessions: ContextVar[Mapping[str, Current]] = ContextVar("sessions", default=_EMPTY)
_makers: ContextVar[Mapping[str, async_sessionmaker[AsyncSession]]] = ContextVar("session_makers", default={})  # noqa: B039 - never changed


def use_session(name: str | None = None) -> AsyncSession:
    """The session of the unit of work that runs now.

    Args:
        name: the connection; `default` unless given, or the only one where there is no `default`.

    Raises:
        OutsideOfContextError: there is none of this name.
    """
    return _current(name).session


def use_transaction(name: str | None = None) -> AsyncSessionTransaction:
    """The transaction of the unit of work that runs now. As `use_session` otherwise."""
    transaction = _current(name).transaction
    if transaction is None:
        raise OutsideOfContextError(f"the session {name or DEFAULT!r} has no transaction of the unit of work's")
    return transaction


def has_session(name: str | None = None) -> bool:
    """Whether there is a session."""
    found = _sessions.get()
    return name in found if name is not None else bool(found)


def _current(name: str | None) -> Current:
    found = _sessions.get()
    wanted = name or (DEFAULT if DEFAULT in found or len(found) != 1 else next(iter(found)))
    if wanted not in found:
        known = ", ".join(repr(one) for one in found) or "none"
        raise OutsideOfContextError(
            f"there is no session {wanted!r} here (there are: {known}): call it in a unit of work of an application that "
            f"has an AIOSqlAlchemySessionInterceptor of this connection_name"
        )
    return found[wanted]


@contextmanager
def providing_session(
    session: AsyncSession, tx: AsyncSessionTransaction | None = None, name: str = DEFAULT
) -> Iterator[None]:
    """Has `use_session(name)` give this session within."""
    token = _sessions.set({**_sessions.get(), name: Current(session, tx)})
    try:
        yield
    finally:
        _sessions.reset(token)


@contextmanager
def providing_transaction(tx: AsyncSessionTransaction, name: str = DEFAULT) -> Iterator[None]:
    """Has `use_transaction(name)` give this transaction, of the session that is there, within."""
    with providing_session(_current(name).session, tx, name):
        yield


@contextmanager
def providing_maker(maker: async_sessionmaker[AsyncSession], name: str) -> Iterator[None]:
    """Has `providing_new_session(name)` make sessions by this within."""
    token = _makers.set({**_makers.get(), name: maker})
    try:
        yield
    finally:
        _makers.reset(token)


@asynccontextmanager
async def providing_new_session(name: str | None = None) -> AsyncIterator[AsyncSession]:
    """A session of its own, whose transaction is committed at the end, whatever becomes of the unit of work's; rolled
    back when the block raises.

    Raises:
        OutsideOfContextError: there is no connection of this name.
    """
    makers = _makers.get()
    wanted = name or (DEFAULT if DEFAULT in makers or len(makers) != 1 else next(iter(makers)))
    if wanted not in makers:
        raise OutsideOfContextError(f"there is no connection {wanted!r} here: no unit of work with it runs")
    async with makers[wanted]() as session, session.begin() as transaction:
        with providing_session(session, transaction, wanted):
            yield session


@asynccontextmanager
async def providing_new_or_current_session(name: str | None = None) -> AsyncIterator[AsyncSession]:
    """The session that is there, or one of its own where there is none."""
    if has_session(name):
        yield use_session(name)
        return
    async with providing_new_session(name) as session:
        yield session


def _key(name: str) -> str:
    return f"inject_persistence_template_{name}"


def set_use_persistence_session(inject: bool, name: str = DEFAULT) -> SetMetadata:
    """Has a controller, or a method, have a session of this connection, or none: whatever the connection's default."""
    return SetMetadata(_key(name), inject)


def uses_persistence_session(name: str = DEFAULT) -> SetMetadata:
    """Has a controller, or a method, have a session of this connection."""
    return set_use_persistence_session(True, name)


def skip_persistence_session(name: str = DEFAULT) -> SetMetadata:
    """Has a controller, or a method, have no session of this connection: it needs no transaction."""
    return set_use_persistence_session(False, name)


def is_wanted(name: str, by_default: bool) -> bool:
    """Whether what runs now has a session of a connection."""
    return bool(get_metadata_value(_key(name), by_default))
