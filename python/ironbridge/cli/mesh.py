"""`ironbridge mesh`: a node of the mesh from the terminal, with services of one's own and a prompt."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Annotated, Any

import typer

from ironbridge.cli import show


def mesh(
    transporter: Annotated[
        str, typer.Option(envvar="TRANSPORTER", help="Where nodes meet: redis://…, nats://…, memory.")
    ] = "redis://localhost:6379",
    namespace: Annotated[str, typer.Option(envvar="NAMESPACE", help="Nodes of others are not heard.")] = "",
    node_id: Annotated[str | None, typer.Option(envvar="NODEID", help="The node's id.")] = None,
    protocol: Annotated[str, typer.Option(help="4 (Moleculer 0.14) or 5 (0.15).")] = "4",
    serializer: Annotated[str, typer.Option(help="json or msgpack.")] = "json",
    run: Annotated[
        list[str] | None, typer.Option("--run", help="A service to serve: module:Service, or a file.py.")
    ] = None,
    repl: Annotated[bool | None, typer.Option("--repl/--no-repl", help="Whether there is a prompt.")] = None,
    cacher: Annotated[str | None, typer.Option(help="memory, memory-lru or redis://…")] = None,
    metrics: Annotated[bool, typer.Option("--metrics", help="Count and time what it does.")] = False,
    wait: Annotated[float, typer.Option(help="Seconds in which the transporter must be reached.")] = 10.0,
) -> None:
    """Join a mesh of Moleculer nodes: call, emit, look around, and serve."""
    from ironbridge.mesh import Broker

    logging.basicConfig(level=logging.INFO if run else logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    broker = Broker(
        node_id,
        transporter=transporter,
        namespace=namespace,
        protocol=protocol,
        serializer=serializer,
        cacher=cacher,
        metrics=metrics,
    )
    for path in run or ():
        for kind in _services(path):
            broker.create_service(kind)
    asyncio.run(_run(broker, not run if repl is None else repl, wait))


async def _run(broker: Any, has_prompt: bool, wait: float) -> None:
    from ironbridge._mesh.repl.commands import Commands
    from ironbridge._mesh.repl.prompt import prompt
    from ironbridge._signals import until_signalled
    from ironbridge.errors import ServiceUnavailable

    try:
        await asyncio.wait_for(broker.start(), wait)
    except TimeoutError:
        raise ServiceUnavailable(f"{broker._node.place} could not be reached within {wait:g} s") from None
    try:
        if has_prompt:
            await prompt(Commands(broker, _show, _table), show.fail)
        else:
            ended = asyncio.Event()
            with until_signalled(ended):
                show.note(f"{broker.node_id} serves; Ctrl+C ends it")
                await ended.wait()
    finally:
        await broker.stop()


def _show(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _table(columns: list[str], rows: list[list[Any]]) -> None:
    show.table(columns, rows)


def _services(path: str) -> list[Any]:
    """The service classes, or schemas, that a path names; all of a module that names none."""
    from ironbridge._loading import load
    from ironbridge.errors import ConfigurationError
    from ironbridge.mesh import BaseService

    name, mark, _ = path.partition(":")
    if mark:
        return [load(path)]
    module = load(f"{name}:__dict__")
    found = [
        one
        for one in module.values()
        if isinstance(one, type) and issubclass(one, BaseService) and one.__module__ == module["__name__"]
    ]
    if not found:
        raise ConfigurationError(f"{name} has no service: a class that derives from BaseService")
    return found
