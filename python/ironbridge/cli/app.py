"""The commands put together, and how their failures look."""

from __future__ import annotations

import sys

import typer

from ironbridge.cli import application, bench, call, doctor, hub, logs, mesh, ps, show, stop
from ironbridge.errors import IronbridgeError

app = typer.Typer(
    name="ironbridge",
    help="Looks after Ironbridge services on this machine.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
for module in (ps, call, stop, hub, mesh, logs, bench, doctor):
    app.command()(getattr(module, module.__name__.rpartition(".")[2]))


@app.command(
    "app", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def applications(context: typer.Context) -> None:
    """Run applications: server, worker, scheduler; generate their TypeScript."""
    application.main(context.args)


def run() -> None:
    """Runs the command line of this process; errors of services are one line on stderr and exit code 1."""
    try:
        app(prog_name="ironbridge")
    except IronbridgeError as error:
        show.fail(error)
        sys.exit(1)
