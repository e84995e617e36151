"""`ironbridge logs`: the log records of a domain's services, as they come."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from datetime import datetime
from typing import Annotated, Any

import typer

from ironbridge.cli import show
from ironbridge.fabric import AmqBrokerConnector, IncomingMessage, IronbridgeError

_OPEN_WITHIN = 3.0
_STYLES = {"DEBUG": "dim", "INFO": "green", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold white on red"}
# Headers, and what their parts of a record are called here; the others are fields of its service's own.
_PARTS = {
    "level_name": "level",
    "service_type": "type",
    "service_id": "id",
    "logger": "logger",
    "file": "file",
    "line": "line",
    "function": "function",
    "process": "process",
    "thread": "thread",
    "exception": "exception",
}
_NO_FIELDS = {*_PARTS, "level", "created"}


def logs(
    domain: Annotated[str, typer.Option(help="Whose services' records.", show_default=False)],
    amqp: Annotated[
        str, typer.Option(help="The broker: amqp://user:password@host/vhost.", envvar="IRONBRIDGE_AMQP")
    ] = "amqp://guest:guest@localhost/",
    level: Annotated[str | None, typer.Option(help="From this level on, such as WARNING.", show_default=False)] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Of services of this type.", show_default=False)] = None,
    service_id: Annotated[str | None, typer.Option("--id", help="Of services of this id.", show_default=False)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead, a line for each record.")] = False,
) -> None:
    """Follow the log records that services send over a broker, until Ctrl+C or SIGTERM."""
    # What the connector has to tell is told here.
    logging.getLogger("ironbridge").addHandler(logging.NullHandler())
    amq = AmqBrokerConnector(
        amqp, domain, "ironbridge", f"logs-{os.getpid()}", on_state=_Connection().changed, on_error=_failed
    )
    follow = {"level": level, "service_type": kind, "service_id": service_id}
    try:
        asyncio.run(_follow(amq, follow, show.as_json_line if json else _line))
    except KeyboardInterrupt:
        pass


async def _follow(amq: AmqBrokerConnector, wanted: dict[str, str | None], tell: Any) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)

    async def came(message: IncomingMessage) -> None:
        try:
            tell(record(message))
        except (BrokenPipeError, SystemExit):  # nobody reads it; the second is how rich says so
            over.set()

    await amq.open(timeout=_OPEN_WITHIN)
    try:
        await amq.follow_logs(came, **wanted)
        show.note(f"following the log records of {amq.domain}; Ctrl+C ends it")
        await over.wait()
    finally:
        await amq.close(timeout=1.0)
    # Where nobody reads, Python itself would fail to flush at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Connection:
    """Tells when it is lost that stood, and when it stands again."""

    def __init__(self) -> None:
        self._stood = self._lost = False

    def changed(self, state: str) -> None:
        """The connector's `on_state`."""
        if state == "lost" and self._stood and not self._lost:
            self._lost = True
            show.note("the connection to the broker is lost: records are missed until it stands again")
        elif state == "connected":
            if self._lost:
                show.note("connected again")
            self._stood, self._lost = True, False


def _failed(error: BaseException, place: str) -> None:
    show.fail(error if isinstance(error, IronbridgeError) else f"{place}: {error!r}")


def record(message: IncomingMessage) -> dict[str, Any]:
    """A record by its parts; those of other make say little more than their level and text."""
    headers = message.headers
    sent = message.timestamp
    try:
        when = datetime.fromtimestamp(float(headers["created"])).astimezone()
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        when = sent.astimezone() if sent is not None else datetime.now().astimezone()
    told: dict[str, Any] = {"time": when.isoformat(timespec="milliseconds"), "text": _text(message)}
    told.update((part, headers[name]) for name, part in _PARTS.items() if name in headers)
    told["fields"] = {name: value for name, value in headers.items() if name not in _NO_FIELDS}
    return told


def _text(message: IncomingMessage) -> str:
    try:
        return str(message.json())
    except IronbridgeError:
        return message.body.decode(errors="replace")


def _line(told: dict[str, Any]) -> None:
    """A line for people, and the traceback below it."""
    level = str(told.get("level", ""))
    who = f"{told.get('type', '?')}.{told.get('id', '?')}"
    said = f"{told['logger']}: {told['text']}" if "logger" in told else told["text"]
    fields = " ".join(f"{name}={value!r}" for name, value in told["fields"].items())
    show.parts(
        (told["time"][11:23], "dim"),
        (f"{level:<8}", _STYLES.get(level, "")),
        (who, "cyan"),
        (said, "red" if level in ("ERROR", "CRITICAL") else ""),
        (fields, "dim"),
    )
    if "exception" in told:
        show.parts((str(told["exception"]), "dim"))
