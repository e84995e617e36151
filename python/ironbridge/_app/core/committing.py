"""What else hangs on a unit of work's commits: what must be stored with them, and what may happen after them alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession


class Participant(Protocol):
    """Takes part in the end of a unit of work."""

    async def before_commit(self, connection_name: str, session: AsyncSession) -> None:
        """Stores what is to be committed with a connection's transaction; raising rolls that back."""

    async def after_commit(self) -> None:
        """Does what was to wait until all transactions were committed. It may be called again."""


class Committing:
    """The end of one unit of work, in whatever order its interceptors are left."""

    __slots__ = ("_open", "_participants")

    def __init__(self) -> None:
        self._open = 0
        self._participants: list[Participant] = []

    def join(self, participant: Participant) -> None:
        """Has it take part."""
        self._participants.append(participant)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction is open within, its commit included."""
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def prepare(self, connection_name: str, session: AsyncSession) -> None:
        """The commit of a connection's transaction comes next."""
        for participant in self._participants:
            await participant.before_commit(connection_name, session)

    async def complete(self) -> None:
        """Some part has ended well; when no transaction is open any more, participants go on."""
        if not self._open:
            for participant in self._participants:
                await participant.after_commit()
