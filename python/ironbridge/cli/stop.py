"""`ironbridge stop`: asks a service to end."""

from __future__ import annotations

from typing import Annotated

import typer

from ironbridge.cli import fleet, show
from ironbridge.errors import ServiceNotFound


def stop(
    name: Annotated[str, typer.Argument(help="The service.", autocompletion=fleet.names)],
    timeout: Annotated[float, typer.Option(help="Seconds to wait for running calls to finish.")] = 10.0,
    force: Annotated[bool, typer.Option("--force", help="Kill what has not ended by then.")] = False,
    json: show.AsJson = False,
) -> None:
    """Stop a service: it takes no new calls, finishes the running ones, then ends."""
    done = fleet.stop(name, grace=timeout, force=force)
    if not done.ended and not done.left:
        raise ServiceNotFound(f"no service named {name!r} runs")
    if json:
        show.as_json({"stopped": done.ended, "left": done.left})
    elif done.left:
        show.fail(f"{name} still runs after {timeout:g} s (pid {_list(done.left)}); --force kills it")
    else:
        show.line(f"stopped {name} (pid {_list(done.ended)})")
    if done.left:
        raise typer.Exit(1)


def _list(pids: list[int]) -> str:
    return ", ".join(map(str, pids))
