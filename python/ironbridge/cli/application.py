"""`ironbridge app`: the processes of an application, and what is made of it.

Nothing that a command needs is imported before it runs: help is there at once.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ironbridge.cli import deadletters, options, outboxes
from ironbridge.errors import IronbridgeError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def group() -> None:
    """Runs applications: server, worker, scheduler; generates their TypeScript."""


group.add_command(deadletters.dlq)
group.add_command(outboxes.outbox)


def main(arguments: list[str]) -> None:
    """Runs a command; what is wrong is one line on stderr, and exit code 1."""
    try:
        group(arguments, prog_name="ironbridge app")
    except IronbridgeError as error:
        from ironbridge.cli import show

        show.fail(error)
        sys.exit(1)


@group.command()
@options.app_path
@options.option("--host", envvar="HOST", default="0.0.0.0", help="Where it listens.")
@options.option("--port", envvar="PORT", type=int, default=8000, help="On which port.")
@options.src_dir
@options.reload
def server(app: str, host: str, port: int, src_dir: str, reload: bool) -> None:
    """Serve an application over HTTP and websockets."""
    from ironbridge.cli import acting

    if acting.reloading(reload, src_dir):
        return
    import uvicorn

    from ironbridge._app.http.server import create_http_server
    from ironbridge._loading import load

    found = load(app, src_dir)
    asgi = found if hasattr(found, "router") else create_http_server(found)
    acting.logging_there()
    uvicorn.run(asgi, host=host, port=port)


@group.command()
@options.app_path
@options.broker_url
@options.backend_url
@options.option("--handlers", envvar="HANDLERS", help="Of these names alone: a,b")
@options.option("--groups", envvar="GROUPS", help="Of these groups alone: a,b")
@options.option("--username", help="For the bus, in place of the URL's.")
@options.option("--password", help="For the bus, in place of the URL's.")
@options.option("--exchange", help="The bus's exchange, in place of the URL's.")
@options.option("--prefetch-count", type=int, help="Messages that a handler may have open.")
@options.reload
@options.src_dir
@options.grace
@options.health_port
@options.health_host
def worker(
    app: str,
    broker_url: str | None,
    backend_url: str | None,
    handlers: str | None,
    groups: str | None,
    username: str | None,
    password: str | None,
    exchange: str | None,
    prefetch_count: int | None,
    reload: bool,
    src_dir: str,
    gracious_shutdown_seconds: float,
    health_port: int | None,
    health_host: str,
) -> None:
    """Handle an application's messages, and run its scheduled actions when the beat tells."""
    from ironbridge.cli import acting

    if acting.reloading(reload, src_dir):
        return
    from ironbridge._app.bus.connecting import with_parts
    from ironbridge._app.bus.worker import MessageBusWorker

    url = with_parts(broker_url, username, password, exchange, prefetch_count)
    found = MessageBusWorker(
        acting.app_of(app, src_dir),
        url,
        backend_url,
        acting.names(handlers),
        acting.names(groups),
        gracious_shutdown_seconds,
        acting.place(health_host, health_port),
    )
    acting.run(found.start_async())


@group.command()
@options.app_path
@options.option("--interval", type=float, default=1.0, help="As the original has it; actions start on time.")
@options.backend_url
@options.src_dir
@options.grace
@options.health_port
@options.health_host
def scheduler(
    app: str,
    interval: float,
    backend_url: str | None,
    src_dir: str,
    gracious_shutdown_seconds: float,
    health_port: int | None,
    health_host: str,
) -> None:
    """Run an application's scheduled actions in this process; with --backend-url, each time in one process of all."""
    from ironbridge._app.schedule.beat import schedule_here
    from ironbridge.cli import acting

    health = acting.place(health_host, health_port)
    acting.run(schedule_here(acting.app_of(app, src_dir), backend_url, gracious_shutdown_seconds, health))


@group.command()
@options.app_path
@options.broker_url
@options.backend_url
@options.option(
    "--interval", envvar="INTERVAL", type=float, default=1.0, help="Seconds between looks for due messages."
)
@options.option("--actions", envvar="ACTIONS", help="Of these names alone: a,b")
@options.reload
@options.src_dir
@options.grace
@options.health_port
@options.health_host
def beat(
    app: str,
    broker_url: str | None,
    backend_url: str | None,
    interval: float,
    actions: str | None,
    reload: bool,
    src_dir: str,
    gracious_shutdown_seconds: float,
    health_port: int | None,
    health_host: str,
) -> None:
    """Tell workers when actions are due, and publish messages whose time has come."""
    from ironbridge.cli import acting

    if acting.reloading(reload, src_dir):
        return
    from ironbridge._app.schedule.beat import BeatWorker

    health = acting.place(health_host, health_port)
    found = BeatWorker(
        acting.app_of(app, src_dir), interval, broker_url, backend_url, acting.names(actions), health=health
    )
    acting.run(found.run())


@group.command()
@options.app_path
@options.broker_url
@options.option("--interactive-mode", "-i", is_flag=True, help="Ask before.")
@options.force
@options.src_dir
def declare(app: str, broker_url: str | None, interactive_mode: bool, force: bool, src_dir: str) -> None:
    """Declare an application's exchanges and queues ahead; workers do it by themselves, too."""
    from ironbridge._app import declaring
    from ironbridge.cli import acting, show
    from ironbridge.errors import ConfigurationError

    found = acting.app_of(app, src_dir)
    if broker_url is None:
        raise ConfigurationError("say where: --broker-url amqp://…?exchange=…")
    if interactive_mode and not force:
        for line in declaring.planned(found):
            show.line(line)
        click.confirm("Declare these?", abort=True)
    for queue in acting.done(declaring.declare(found, broker_url)):
        show.line(queue)


@group.command("gen-tsi")
@options.app_path
@click.argument("file", type=click.Path(path_type=Path), required=False)
@options.option("--watch", envvar="WATCH", is_flag=True, help="Write it again when a file changes.")
@options.src_dir
@options.option("--stdout", is_flag=True, help="Print it.")
@options.option("--post-process", help="A command to run on it; {file} is its name.")
@options.option("--runtime", default="fetch", help="fetch: needs nothing; jararaca: for npm's @jararaca/core.")
def gen_tsi(
    app: str, file: Path | None, watch: bool, src_dir: str, stdout: bool, post_process: str | None, runtime: str
) -> None:
    """Generate an application's TypeScript: its models, and a client of its endpoints."""
    from ironbridge._app.tsi.writing import write

    write(app, file, stdout=stdout, watch=watch, src_dir=src_dir, post_process=post_process, runtime=runtime)


@group.command("gen-entity")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@options.option("--force", "-f", is_flag=True, help="Write over what is there.")
def gen_entity(name: str, file: Path, force: bool) -> None:
    """Write an entity with its schemas and a CRUD controller."""
    from ironbridge._app.scaffold.writing import entity
    from ironbridge.cli import show

    show.line(str(entity(name, file, force)))


@group.command()
@click.argument("name")
@options.option("--output", "-o", type=click.Path(path_type=Path), default=".", help="The folder that it is made in.")
@options.option("--package", "-p", help="Its package; of its name unless given.")
@options.option("--description", "-d", default="A microservice")
@options.option("--python", default="3.11", help="The least version of Python.")
@options.option("--force", "-f", is_flag=True, help="Write over what is there.")
def new(name: str, output: Path, package: str | None, description: str, python: str, force: bool) -> None:
    """Make a project: an application, its tests, and how it is run."""
    from ironbridge._app.scaffold.writing import project
    from ironbridge.cli import show

    for path in project(name, output, package, description, python, force):
        show.line(str(path))
