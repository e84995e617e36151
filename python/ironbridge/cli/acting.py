"""What commands of `ironbridge app` do alike: find the application, run a process, look into the dead letters."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any


def done(work: Coroutine[Any, Any, Any]) -> Any:
    """What it gives."""
    return asyncio.run(work)


def app_of(path: str, src_dir: str) -> Any:
    """The application that a command names."""
    from ironbridge._app.loading import microservice_of
    from ironbridge._loading import load

    return microservice_of(load(path, src_dir))


def names(text: str | None) -> set[str] | None:
    """The names in `a,b`; `None`: all."""
    return {name.strip() for name in text.split(",") if name.strip()} if text else None


def place(host: str, port: int | None) -> tuple[str, int] | None:
    """Where something is served, if it is."""
    return None if port is None else (host, port)


def run(work: Any) -> None:
    """Runs a process to its end."""
    logging_there()
    asyncio.run(work)


def logging_there() -> None:
    """Has log records shown, unless the application does."""
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def with_dead(broker_url: str | None, work: Any) -> Any:
    """What is done with the dead letters of a bus."""
    from ironbridge._app.bus.deadletters import DeadLetters
    from ironbridge.errors import ConfigurationError

    if broker_url is None:
        raise ConfigurationError("say where: --broker-url amqp://…")

    async def ask() -> Any:
        async with DeadLetters(broker_url) as letters:
            return await work(letters)

    return asyncio.run(ask())


def reloading(wanted: bool, src_dir: str) -> bool:
    """Runs this very command again and again while files change, if that is wanted."""
    if not wanted:
        return False
    from ironbridge._app.reloading import reload

    reload([one for one in sys.argv[1:] if one != "--reload"], [Path(src_dir), Path.cwd()])
    return True
