"""`ironbridge bench`: how long calls of a running service, or of a built-in echo, take from here."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any

import typer

from ironbridge import bridge
from ironbridge.cli import echo, fleet, show, words

Measured = dict[str, Any]


def bench(
    name: Annotated[
        str | None,
        typer.Argument(help="The service; none starts an echo.", autocompletion=fleet.names, show_default=False),
    ] = None,
    endpoint: Annotated[str, typer.Argument(help="What to call.")] = "echo",
    args: Annotated[
        list[str] | None,
        typer.Argument(help="Arguments: JSON where it is JSON, else text.", show_default=False),
    ] = None,
    init: Annotated[
        str | None, typer.Option(help="The constructor's arguments: a JSON list, or an object of named ones.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long each row is measured.", min=0.05)] = 2.0,
    threads: Annotated[list[int] | None, typer.Option(help="Calling threads; once for each row.")] = None,
    token: Annotated[str | None, typer.Option(help="A network service's token.", envvar="IRONBRIDGE_TOKEN")] = None,
    json: show.AsJson = False,
) -> None:
    """Measure the latency and rate of calls, from one thread and from several."""
    positional, named = words.arguments(init, "--init")
    arguments = [words.value(word) for word in args or []] or (["hello"] if name is None else [])
    with (
        _service(name) as target,
        bridge.connect(target, *positional, init=named, token=token, timeout=5.0) as client,
    ):
        call = _endpoint(client, endpoint)
        call(*arguments)
        rows = [_measure(lambda: call(*arguments), count, seconds) for count in threads or [1, 8]]
    if json:
        show.as_json({"service": name or "built-in echo", "endpoint": endpoint, "rows": rows})
        return
    show.table(
        ["THREADS", "CALLS/S", "P50", "P90", "P99", "MAX"],
        (
            [
                row["threads"],
                f"{row['rate']:,.0f}",
                *(show.micros(row[key]) for key in ("p50", "p90", "p99", "max")),
            ]
            for row in rows
        ),
        right=["THREADS", "CALLS/S", "P50", "P90", "P99", "MAX"],
    )


def _endpoint(client: bridge.ServiceClient, name: str) -> Callable[..., Any]:
    """The native endpoint itself, unless the client uses its name."""
    return partial(client.call, name) if hasattr(type(client), name) else getattr(client, name)


@contextmanager
def _service(name: str | None) -> Iterator[str]:
    """The service's name; for none, an echo that runs while the block does."""
    if name is not None:
        yield name
        return
    handle = echo.start(f"ironbridge-bench-{os.getpid()}")
    try:
        yield handle.service
    finally:
        handle.stop()


def _measure(call: Callable[[], object], threads: int, seconds: float) -> Measured:
    """Calls from several threads at once for a while; times are in seconds."""
    times: list[list[float]] = [[] for _ in range(threads)]
    failures: list[BaseException] = []
    begin = threading.Barrier(threads + 1)

    def work(taken: list[float]) -> None:
        clock = time.perf_counter
        begin.wait()
        before = clock()
        end = before + seconds
        try:
            while before < end:
                call()
                after = clock()
                taken.append(after - before)
                before = after
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(taken,)) for taken in times]
    for worker in workers:
        worker.start()
    begin.wait()
    started = time.perf_counter()
    for worker in workers:
        worker.join()
    elapsed = time.perf_counter() - started
    if failures:
        raise failures[0]
    every = sorted(one for taken in times for one in taken)
    return {
        "threads": threads,
        "calls": len(every),
        "rate": len(every) / elapsed,
        "p50": _at(every, 0.50),
        "p90": _at(every, 0.90),
        "p99": _at(every, 0.99),
        "max": every[-1],
    }


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
