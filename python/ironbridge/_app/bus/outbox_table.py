"""The outbox's table."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Integer, LargeBinary, MetaData, String, Table, Text

ASIDE = 1e18
"""When a message is due that is set aside: never, unless somebody says otherwise."""


def outbox_table(name: str, metadata: MetaData) -> Table:
    """The table, for migrations that are written by hand."""
    return Table(
        name,
        metadata,
        Column("id", String(32), primary_key=True),
        Column("topic", Text, nullable=False),
        Column("body", LargeBinary, nullable=False),
        Column("envelope", Text, nullable=False),
        Column("is_task", Boolean, nullable=False),
        Column("staged_at", Float(53), nullable=False),
        Column("due_at", Float(53), nullable=False, index=True),
        Column("refusals", Integer, nullable=False),
        Column("error", Text),
    )
