"""`ironbridge app dlq`: dead letters counted, shown, sent again, dropped."""

from __future__ import annotations

import click

from ironbridge.cli import options


@click.group()
def dlq() -> None:
    """Looks after the dead letters of a bus."""


@dlq.command()
@options.broker_url
@options.as_json
def stats(broker_url: str | None, json: bool) -> None:
    """Count dead letters, by the queues that they came from."""
    from ironbridge.cli import acting, show

    found = acting.with_dead(broker_url, lambda letters: letters.stats())
    if json:
        show.as_json(found)
        return
    show.table(["QUEUE", "LETTERS"], sorted(found["queues"].items()), right=["LETTERS"])
    show.line(f"{found['total']} in all")


@dlq.command("list")
@options.broker_url
@options.option("--limit", type=int, default=10, help="So many at most.")
@options.option("--queue", help="Of this queue alone.")
@options.option("--show-body", is_flag=True, help="Print what they say.")
@options.as_json
def list_(broker_url: str | None, limit: int, queue: str | None, show_body: bool, json: bool) -> None:
    """Show dead letters; they stay."""
    from ironbridge.cli import acting, show

    letters = acting.with_dead(broker_url, lambda letters: letters.list(limit, queue))
    rows = [
        {
            "queue": one.queue,
            "reason": one.reason,
            "error": one.error,
            "count": one.count,
            "message_id": one.message_id,
            **({"body": one.body.decode(errors="replace")} if show_body else {}),
        }
        for one in letters
    ]
    if json:
        show.as_json(rows)
        return
    columns = ["queue", "reason", "error", "count", "message_id", *(["body"] if show_body else [])]
    show.table([name.upper() for name in columns], ([row[name] or "" for name in columns] for row in rows))


@dlq.command()
@options.broker_url
@options.force
def purge(broker_url: str | None, force: bool) -> None:
    """Drop all dead letters."""
    from ironbridge.cli import acting, show

    if not force:
        click.confirm("Drop all dead letters, for good?", abort=True)
    show.line(f"{acting.with_dead(broker_url, lambda letters: letters.purge())} dropped")


@dlq.command()
@options.broker_url
@options.option("--queue", help="Of this queue alone.")
@options.option("--limit", type=int, help="So many at most.")
@options.force
def requeue(broker_url: str | None, queue: str | None, limit: int | None, force: bool) -> None:
    """Send dead letters to the queues that they came from."""
    from ironbridge.cli import acting, show

    if not force:
        click.confirm("Have them handled again?", abort=True)
    show.line(f"{acting.with_dead(broker_url, lambda letters: letters.requeue(limit, queue))} sent")
