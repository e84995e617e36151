"""What the spawned interpreter runs: find the user's class, serve it, end with the parent."""

from __future__ import annotations

import os
import sys

from .launch import report, report_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from .._engine import Server
    from .._engine import _Opened as Opened


def main(job: dict[str, Any], descriptor: int) -> NoReturn:
    """Serves until it is told to end or its parent has ended. `descriptor` is where the parent listens."""
    os.set_inheritable(descriptor, False)
    try:
        _settle(job)
        server, opened = _open(job)
    except BaseException as error:
        report_failure(descriptor, error)
        _end(1)
    report(descriptor, {"ready": True, "tcp": opened["tcp"], "token": opened["token"]})
    try:
        server.run()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        _end(1)
    _end(0)


def _settle(job: dict[str, Any]) -> None:
    import signal

    # Ctrl+C goes to every process of the terminal; what it means is the parent's to say.
    signal.signal(signal.SIGINT, _ignored)
    # At the default of 5 ms one endpoint that computes delays each call of every other by as much.
    sys.setswitchinterval(0.0005)
    if job["compat"]:
        from .. import compat

        compat.install()


def _ignored(number: int, frame: object) -> None:
    # A function, where SIG_IGN would be inherited by what endpoints start.
    pass


def _open(job: dict[str, Any]) -> tuple[Server, Opened]:
    import signal

    from .. import _signatures, service
    from .._engine import Server
    from . import importer, logs, version

    name, options = job["service"], job["options"]
    owner, functions = importer.load(name, job["found"])
    endpoints = service.collect(owner, functions)
    annotated = [endpoint.function for endpoint in endpoints]
    classes = _signatures.classes([*annotated, _signatures.initialiser(owner)])
    document = service.schema(name, owner, endpoints, classes)
    log = logs.calls(name, endpoints) if options["logger"] else None
    main_module = sys.modules["__main__"].__dict__.get("__name__")
    known = {**classes}
    for path, kind in classes.items():
        module, _, qualname = path.partition(":")
        if module == main_module:
            known[f"__main__:{qualname}"] = kind  # what the parent itself calls it
    server = Server(
        name=name,
        identity=job["identity"],
        schema=service.encode(document),
        endpoints=[
            (
                entry["name"],
                "instance" if endpoint.kind == "instance" else "free",
                endpoint.coroutine,
                endpoint.attribute if endpoint.kind == "instance" else log.free(endpoint) if log else endpoint.function,
            )
            for entry, endpoint in service.pairs(document, endpoints)
        ],
        factory=log.factory(owner) if log and owner else owner,
        classes=known,
        options={
            **options,
            "version": version.of(owner, functions),
            "parent": job["parent"],
        },
    )
    told: list[int] = []

    def terminate(number: int, frame: object) -> None:
        told.append(number)
        server.drain()

    # Before the name is claimed: from then on anybody may tell this process to end.
    signal.signal(signal.SIGTERM, terminate)
    # What an endpoint forks is an ordinary process, which SIGTERM ends: a pool of them waits for that.
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    opened = server.open()
    if told:
        server.drain()
    return server, opened


def _end(status: int) -> NoReturn:
    """Runs what the user's modules have left for the end. Threads of theirs do not hold the process."""
    import atexit

    try:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)
