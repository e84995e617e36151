"""`ironbridge hub`: a hub in this terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ironbridge.cli import show
from ironbridge.hub import ConfigurationError, Server


def hub(
    sender: Annotated[
        str, typer.Option(help="Where services listen: ipc:///path, ipc://@name or tcp://host:port.")
    ] = "ipc:///tmp/sender",
    receiver: Annotated[str, typer.Option(help="Where services send to.")] = "ipc:///tmp/receiver",
    secret_file: Annotated[
        Path | None, typer.Option(help="A file with the secret that services have to know.", show_default=False)
    ] = None,
    every: Annotated[
        float | None, typer.Option(help="Tell what it did every so many seconds, too.", min=0.1, show_default=False)
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Log when it starts and ends.")] = False,
    json: show.AsJson = False,
) -> None:
    """Run a hub, which forwards what services say to each other, until Ctrl+C or SIGTERM; then tell what it did."""
    server = Server(sender, receiver, debug, secret=_secret(secret_file))
    told = f"services send to {receiver} and listen at {sender}; Ctrl+C ends the hub"
    tell = show.as_json if json else _table
    asyncio.run(_run(server, lambda: show.note(told), every, tell))
    tell(server.stats())


async def _run(
    server: Server, started: Callable[[], None], every: float | None, tell: Callable[[dict[str, Any]], None]
) -> None:
    async def watch(seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            tell(server.stats())

    watching = None if every is None else asyncio.create_task(watch(every))
    try:
        await server.run(started)
    finally:
        if watching is not None:
            watching.cancel()


def _secret(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text().strip()
    except OSError as error:
        raise ConfigurationError(f"the secret's file {file} cannot be read: {error.strerror}") from None


def _table(stats: dict[str, Any]) -> None:
    """What matters in any case, and what is not 0."""
    always = ("messages in", "messages out")
    rows = [(f"{count:,}", name) for name, count in _counts(stats) if count or name in always]
    show.table(["COUNT", "OF"], rows, right=["COUNT"])


def _counts(stats: dict[str, Any], of: str = "") -> Iterator[tuple[str, int]]:
    for name, value in stats.items():
        if isinstance(value, dict):
            yield from _counts(value, f"{name}: ")
        elif isinstance(value, int):
            yield of + name.replace("_", " "), value
