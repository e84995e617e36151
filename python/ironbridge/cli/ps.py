"""`ironbridge ps`: the services that run."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from ironbridge.cli import fleet, show
from ironbridge.cli.fleet import Daemon

_STYLES = {"serving": "green", "draining": "yellow", "silent": "bold red"}


def ps(
    name: Annotated[
        str | None, typer.Argument(help="Only this service.", autocompletion=fleet.names, show_default=False)
    ] = None,
    json: show.AsJson = False,
) -> None:
    """List the services that run: name, pid, workers, uptime, connections, calls."""
    daemons = fleet.daemons(name)
    if json:
        show.as_json([_as_dict(daemon) for daemon in daemons])
        return
    if not daemons:
        show.note(f"no service named {name!r} runs" if name else "no service runs")
        return
    show.table(
        ["NAME", "PID", "WORKER", "UPTIME", "CONNECTIONS", "CALLS", "STATE", "ALSO ON"],
        (_row(daemon) for daemon in daemons),
        right=["PID", "WORKER", "UPTIME", "CONNECTIONS", "CALLS"],
    )


def _row(daemon: Daemon) -> list[object]:
    return [
        daemon.service,
        daemon.pid,
        f"{daemon.worker + 1} of {daemon.workers}",
        show.uptime(daemon.uptime),
        _number(daemon.connections),
        _number(daemon.calls),
        Text(daemon.state, style=_STYLES.get(daemon.state, "")),
        f"tcp://{daemon.tcp}" if daemon.tcp else "",
    ]


def _number(count: int | None) -> str:
    return "–" if count is None else f"{count:,}"


def _as_dict(daemon: Daemon) -> dict[str, object]:
    return {
        "name": daemon.service,
        "pid": daemon.pid,
        "worker": daemon.worker,
        "workers": daemon.workers,
        "uptime": round(daemon.uptime, 3),
        "connections": daemon.connections,
        "calls": daemon.calls,
        "state": daemon.state,
        "socket": daemon.socket,
        "tcp": daemon.tcp,
        "detached": daemon.detached,
        "statistics": daemon.statistics,
    }
