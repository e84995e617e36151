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
    daemons = fleet.daemons(name)
    if not daemons:
        raise ServiceNotFound(f"no service named {name!r} runs")
    left = [daemon for daemon in daemons if not daemon.stop(grace=timeout, force=force)]
    if json:
        show.as_json({"stopped": [d.pid for d in daemons if d not in left], "left": [d.pid for d in left]})
    for daemon in daemons if not json else []:
        if daemon in left:
            show.fail(f"{name} (pid {daemon.pid}) still runs after {timeout:g} s; --force kills it")
        else:
            show.line(f"stopped {name} (pid {daemon.pid})")
    if left:
        raise typer.Exit(1)
