"""`ironbridge mesh`: a node of the mesh from the terminal, with services of one's own and a prompt."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from ironbridge.cli import show


def _env(context: typer.Context, wanted: bool) -> bool:
    if wanted and not context.resilient_parsing:
        _load_env(".env")
    return wanted


def _env_file(context: typer.Context, path: str | None) -> str | None:
    if path is not None and not context.resilient_parsing:
        _load_env(path)
    return path


def _load_env(path: str) -> None:
    from ironbridge._mesh.running.envfile import load_env_file

    load_env_file(path)


def mesh(
    # These two are read before all others: what a file says, other options take from the environment.
    env: Annotated[
        bool, typer.Option("--env", "-e", is_eager=True, callback=_env, help="Read the environment from .env.")
    ] = False,
    envfile: Annotated[
        str | None, typer.Option("--envfile", "-E", is_eager=True, callback=_env_file, help="Read it from this file.")
    ] = None,
    transporter: Annotated[
        str, typer.Option(envvar="TRANSPORTER", help="Where nodes meet: redis://…, nats://…, memory.")
    ] = "redis://localhost:6379",
    namespace: Annotated[str, typer.Option(envvar="NAMESPACE", help="Nodes of others are not heard.")] = "",
    node_id: Annotated[str | None, typer.Option(envvar="NODEID", help="The node's id.")] = None,
    protocol: Annotated[str, typer.Option(help="4 (Moleculer 0.14) or 5 (0.15).")] = "4",
    serializer: Annotated[str, typer.Option(help="json or msgpack.")] = "json",
    run: Annotated[
        list[str] | None, typer.Option("--run", help="What to serve: module:Service, file.py, or a folder.")
    ] = None,
    mask: Annotated[str, typer.Option("--mask", "-m", help="Which files of folders.")] = "**/*.py",
    hot: Annotated[bool, typer.Option("--hot", "-H", help="Load services again when their files change.")] = False,
    instances: Annotated[
        str | None, typer.Option("--instances", "-i", help="So many processes, which end together; max: one a core.")
    ] = None,
    repl: Annotated[bool | None, typer.Option("--repl/--no-repl", help="Whether there is a prompt.")] = None,
    silent: Annotated[bool, typer.Option("--silent", "-s", help="No log.")] = False,
    cacher: Annotated[str | None, typer.Option(help="memory, memory-lru or redis://…")] = None,
    metrics: Annotated[bool, typer.Option("--metrics", help="Count and time what it does.")] = False,
    wait: Annotated[float, typer.Option(help="Seconds in which the transporter must be reached.")] = 10.0,
) -> None:
    """Join a mesh of Moleculer nodes: call, emit, look around, and serve."""
    from ironbridge._mesh.running import instances as many
    from ironbridge.errors import ConfigurationError
    from ironbridge.mesh import Broker

    worker = many.worker_number()
    if instances is not None:
        if repl:
            raise ConfigurationError("--instances and --repl: several processes have no prompt")
        if worker is None:
            raise typer.Exit(many.run_instances(sys.argv[1:], many.count_of(instances)))
    if not silent:
        level = logging.INFO if run else logging.WARNING
        logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    broker = Broker(
        _numbered(node_id, worker),
        transporter=transporter,
        namespace=namespace,
        protocol=protocol,
        serializer=serializer,
        cacher=cacher,
        metrics=metrics,
    )
    has_prompt = not run and worker is None if repl is None else repl
    asyncio.run(_run(broker, run or [], mask, hot, has_prompt, worker is not None, wait))


async def _run(
    broker: Any, paths: list[str], mask: str, is_hot: bool, has_prompt: bool, is_worker: bool, wait: float
) -> None:
    from ironbridge._mesh.repl.commands import Commands
    from ironbridge._mesh.repl.prompt import prompt
    from ironbridge._mesh.running.hot import HotReload
    from ironbridge._mesh.running.loaded import Loaded
    from ironbridge.errors import ServiceUnavailable

    loaded = Loaded(broker)
    for path in paths:
        await loaded.load(path, mask)
    # What changes while it connects has changed, too.
    watching = HotReload(broker, loaded) if is_hot else None
    try:
        # Python 3.11's wait_for may swallow a Ctrl+C at its very end.
        async with asyncio.timeout(wait):
            await broker.start()
    except TimeoutError:
        raise ServiceUnavailable(f"{broker._node.place} could not be reached within {wait:g} s") from None
    try:
        with _begun(watching.run() if watching else None):
            if has_prompt:
                await prompt(Commands(broker, _show, _table, loaded), show.fail)
            else:
                await _serve(broker, is_worker)
    finally:
        await broker.stop()


async def _serve(broker: Any, is_worker: bool) -> None:
    from ironbridge._mesh.running.instances import until_alone
    from ironbridge._signals import until_signalled

    ended = asyncio.Event()
    with until_signalled(ended):
        show.note(f"{broker.node_id} serves; Ctrl+C ends it")
        waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(ended.wait())]
        if is_worker:
            waiting.append(asyncio.ensure_future(until_alone()))
        _, left = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for one in left:
            one.cancel()


@contextlib.contextmanager
def _begun(work: Any) -> Iterator[None]:
    """Has something run meanwhile."""
    task = asyncio.ensure_future(work) if work is not None else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()


def _numbered(node_id: str | None, worker: int | None) -> str | None:
    """The id of one of several processes, as Moleculer's runner has it."""
    if worker is None or node_id is None:
        return node_id
    return f"{node_id}-{worker}"


def _show(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _table(columns: list[str], rows: list[list[Any]]) -> None:
    show.table(columns, rows)
