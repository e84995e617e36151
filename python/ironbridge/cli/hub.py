"""`ironbridge hub`: a hub in this terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
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
    debug: Annotated[bool, typer.Option("--debug", help="Log what the hub does.")] = False,
    json: show.AsJson = False,
) -> None:
    """Run a hub, which forwards what services say to each other, until Ctrl+C or SIGTERM; then tell what it did."""
    server = Server(sender, receiver, debug, secret=_secret(secret_file))
    told = f"services send to {receiver} and listen at {sender}; Ctrl+C ends the hub"
    asyncio.run(server.run(started=lambda: show.note(told)))
    stats = server.stats()
    if json:
        show.as_json(stats)
    else:
        show.table(["COUNT", "OF"], ([f"{count:,}", name] for name, count in _counts(stats)), right=["COUNT"])


def _secret(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text().strip()
    except OSError as error:
        raise ConfigurationError(f"the secret's file {file} cannot be read: {error.strerror}") from None


def _counts(stats: dict[str, Any], of: str = "") -> Iterator[tuple[str, int]]:
    for name, value in stats.items():
        if isinstance(value, dict):
            yield from _counts(value, f"{name}: ")
        elif isinstance(value, int):
            yield of + name.replace("_", " "), value
