"""An application of both makes at one broker: the server of one, the worker and the beat of the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
from harness import Program, RabbitMQ, Redis, free_port, wait_until

Make = Literal["ours", "theirs"]
ROOT = Path(__file__).parents[3]
THEIRS = ROOT / ".cache/peers/jararaca/bin"
HERE = Path(__file__).parent
PATIENCE = 30.0
"""Seconds."""


def command(make: Make, *words: str) -> list[str]:
    """What runs a command of an application."""
    if make == "theirs":
        return [str(THEIRS / "jararaca"), *words]
    return [sys.executable, "-m", "ironbridge.cli", "app", *words]


@dataclass
class Side:
    """One broker, and what runs at it.

    Attributes:
        server, worker: whose they are.
        bus: the broker's URL, for tools.
        redis: the Redis's URL.
        port: the server's.
    """

    server: Make
    worker: Make
    bus: str
    redis: str
    folder: Path
    port: int
    rabbitmq: RabbitMQ
    vhost: str

    @property
    def url(self) -> str:
        """The bus, as commands take it."""
        return f"{self.bus}?exchange=shop&prefetch_count=20"

    def environment(self, make: Make) -> Mapping[str, str]:
        """What the application reads."""
        return {
            "FACE": "jararaca" if make == "theirs" else "ironbridge.app",
            "LOG": str(self.folder / "log"),
            "REDIS": self.redis,
            "BUS": self.bus,
            "PYTHONPATH": str(HERE),
        }

    def run(self, make: Make, *words: str) -> Program:
        """Begins a command of the application, in a folder with `src`, which the original looks for."""
        return Program(command(make, *words), env=self.environment(make), cwd=self.folder)

    def done(self, make: Make, *words: str) -> str:
        """What a command prints that ends."""
        done = subprocess.run(
            command(make, *words),
            env={**os.environ, **self.environment(make)},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        return done.stdout

    def post(self, path: str, **params: str) -> None:
        """Asks the server for something."""
        answer = httpx.post(f"http://127.0.0.1:{self.port}{path}", params=params, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text

    def told(self, **fields: Any) -> list[dict[str, Any]]:
        """What the worker has told, with these fields."""
        log = self.folder / "log"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [one for one in lines if all(one.get(name) == value for name, value in fields.items())]

    def wait(self, count: int = 1, **fields: Any) -> list[dict[str, Any]]:
        """The same, when there are so many."""
        wait_until(lambda: len(self.told(**fields)) >= count, PATIENCE, f"{count} of {fields} in {self.told()}")
        return self.told(**fields)


@contextmanager
def side(server: Make, worker: Make, rabbitmq: RabbitMQ, redis: Redis, database: int, folder: Path) -> Iterator[Side]:
    """All processes of one side, started side by side."""
    vhost = f"jararaca-{server}"
    rabbitmq.add_vhost(vhost)
    (folder / "src").mkdir()
    place = f"redis://{redis.host}:{redis.port}/{database}"
    made = Side(server, worker, rabbitmq.uri(vhost=vhost), place, folder, free_port(), rabbitmq, vhost)
    made.done(worker, "declare", "shop:app", "--broker-url", made.url, "-f")
    bus = ("--broker-url", made.url, "--backend-url", place)
    with ExitStack() as running:
        for make, words in (
            (server, ("server", "shop:app", "--host", "127.0.0.1", "--port", str(made.port))),
            (worker, ("worker", "shop:app", *bus)),
            (worker, ("beat", "shop:app", *bus, "--interval", "1")),
        ):
            running.enter_context(made.run(make, *words))
        wait_until(lambda: _is_served(made), PATIENCE, "the server")
        wait_until(lambda: rabbitmq.queues(vhost)[QUEUE]["consumers"] == 1, PATIENCE, "the worker")
        yield made
    rabbitmq.delete_vhost(vhost)


QUEUE = "order.placed.shop.Orders.handle"


def _is_served(made: Side) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{made.port}/docs", timeout=1).status_code == 200
    except httpx.TransportError:
        return False
