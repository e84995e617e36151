"""Servers of one identity, as programs that a test may kill, and their callers."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from harness import Told, wait_until
from harness.told import PATIENCE
from ironbridge.fabric import AmqBrokerConnector

T = TypeVar("T")

MEMBER = Path(__file__).with_name("programs") / "member.py"
IDENTITY = ("stage", "actor", "hamlet")
"""Domain, type and id of those who serve."""


class Member(Told):
    """A server of the service `IDENTITY` in a process of its own; it serves when the constructor returns."""

    def __init__(self, uri: str, name: str = "one", **settings: Any) -> None:
        settings = {"identity": IDENTITY, "name": name, "options": {}, **settings}
        self.name = name
        super().__init__([sys.executable, "-u", MEMBER, uri, json.dumps(settings)])
        try:
            self.wait("up", PATIENCE)
        except BaseException:
            self.close()
            raise

    def tell(self, command: str, *arguments: Any) -> None:
        """Has it do something."""
        self.say(json.dumps([command, *arguments]))

    def release(self, tag: str | None = None) -> None:
        """Lets a call go on that holds, or all that ever will."""
        self.tell("release", tag)

    def stats(self) -> dict[str, Any]:
        """What its connector counts."""
        had = len(self.events("stats"))
        self.tell("stats")
        return self.wait("stats", count=had + 1)


def members(uri: str, *names: str, **settings: Any) -> list[Member]:
    """Several, started at once."""
    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(lambda name: Member(uri, name, **settings), names))


def caller(uri: str, service_id: str = "caller", **options: Any) -> AmqBrokerConnector:
    """A connector of another service."""
    return AmqBrokerConnector(uri, IDENTITY[0], "audience", service_id, **options)


def server(uri: str, **options: Any) -> AmqBrokerConnector:
    """A connector of the service `IDENTITY`, in this process."""
    return AmqBrokerConnector(uri, *IDENTITY, **options)


async def served(connector: AmqBrokerConnector, **options: Any) -> Any:
    """A proxy of the service `IDENTITY`."""
    domain, kind, service_id = IDENTITY
    return await connector.rpc_proxy(domain, service_id, kind, **options)


async def eventually(predicate: Callable[[], T], deadline: float = PATIENCE, what: str = "") -> T:
    """As `wait_until`, while this loop goes on."""
    return await asyncio.to_thread(wait_until, predicate, deadline, what)


async def where(method: str, tag: str, *among: Member) -> Member:
    """In which of them the call with this tag has begun; waits for that."""

    def found() -> Member | None:
        return next((one for one in among if one.events("begun", method=method, tag=tag)), None)

    one = await eventually(found, what=f"{method}({tag!r}) begins")
    assert one is not None
    return one
