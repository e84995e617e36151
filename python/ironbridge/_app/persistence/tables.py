"""Tables that are made where they are missing, for programs without migrations."""

from __future__ import annotations

from sqlalchemy import MetaData
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine


async def create_tables(engine: AsyncEngine, metadata: MetaData) -> None:
    """Makes the tables that are missing; other processes may be doing so at the same time.

    Args:
        engine: the database.
        metadata: the tables: `BaseEntity.metadata`, for example.

    Raises:
        sqlalchemy.exc.DBAPIError: what the database says, when they cannot be made.
    """
    # Whoever comes second is refused by some databases; at the next look that table is there.
    for left in range(len(metadata.tables), -1, -1):
        try:
            async with engine.begin() as connection:
                await connection.run_sync(metadata.create_all)
            return
        except DBAPIError:
            if not left:
                raise
