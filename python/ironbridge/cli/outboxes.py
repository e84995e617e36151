"""`ironbridge app outbox`: messages that were refused, shown, sent again, dropped."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from ironbridge.cli import options

database_url = options.option("--database-url", envvar="DATABASE_URL", help="The database: sqlite+aiosqlite://… or so.")
table = options.option("--table", default="ironbridge_outbox", help="The outbox's.")
topic = options.option("--topic", help="Of this topic alone.")


@click.group()
def outbox() -> None:
    """Looks after messages that were set aside, since nobody takes them, or nothing can carry them."""


@outbox.command("list")
@database_url
@table
@topic
@options.option("--limit", type=int, default=10, help="So many at most.")
@options.option("--show-body", is_flag=True, help="Print what they say.")
@options.as_json
def list_(database_url: str | None, table: str, topic: str | None, limit: int, show_body: bool, json: bool) -> None:
    """Show messages that were set aside; they stay."""
    from ironbridge.cli import show

    rows = [
        {
            "topic": one.topic,
            "published": datetime.fromtimestamp(one.staged_at, UTC).isoformat(timespec="seconds"),
            "tried": one.refusals,
            "error": one.error,
            "message_id": one.message_id,
            **({"body": one.body.decode(errors="replace")} if show_body else {}),
        }
        for one in _with(database_url, table, lambda aside: aside.list(limit, topic))
    ]
    if json:
        show.as_json(rows)
        return
    columns = ["topic", "published", "tried", "error", "message_id", *(["body"] if show_body else [])]
    show.table([name.upper() for name in columns], ([row[name] or "" for name in columns] for row in rows))


@outbox.command()
@database_url
@table
@topic
def requeue(database_url: str | None, table: str, topic: str | None) -> None:
    """Have them sent again, by the application's processes."""
    from ironbridge.cli import show

    show.line(f"{_with(database_url, table, lambda aside: aside.requeue(topic))} will be sent again")


@outbox.command()
@database_url
@table
@topic
@options.force
def drop(database_url: str | None, table: str, topic: str | None, force: bool) -> None:
    """Delete them, for good."""
    from ironbridge.cli import show

    if not force:
        click.confirm("Delete the messages that were set aside, for good?", abort=True)
    show.line(f"{_with(database_url, table, lambda aside: aside.drop(topic))} dropped")


def _with(url: str | None, table: str, work: Callable[[Any], Any]) -> Any:
    """What is done with the messages of an outbox."""
    from ironbridge._app.bus.set_aside import SetAside
    from ironbridge.cli import acting
    from ironbridge.errors import ConfigurationError

    if url is None:
        raise ConfigurationError("say where: --database-url postgresql+asyncpg://…")

    async def ask() -> Any:
        async with SetAside(url, table) as aside:
            return await work(aside)

    return acting.done(ask())
