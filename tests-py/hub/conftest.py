"""Hubs and services of a test; all are ended with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness import free_port

from hub.actors import OURS, Endpoints, Hub, Kind, Library, Service, Start, StartHub
from hub.raw import Raw


def endpoints(transport: str, folder: Path) -> Endpoints:
    """A place of its own for a hub."""
    if transport == "ipc":
        return Endpoints(f"ipc://{folder}/sender", f"ipc://{folder}/receiver")
    return Endpoints(f"tcp://127.0.0.1:{free_port()}", f"tcp://127.0.0.1:{free_port()}")


@pytest.fixture
def at(tmp_path: Path) -> Endpoints:
    """Where the test's hub is."""
    return endpoints("ipc", tmp_path)


@pytest.fixture
def started() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def hub(at: Endpoints, started: ExitStack) -> StartHub:
    """Starts a hub: `hub("original")`."""

    def start(kind: Kind = "ours", secret: str | None = None, at: Endpoints = at) -> Hub:
        return started.enter_context(Hub(kind, at, secret))

    return start


@pytest.fixture
def service(at: Endpoints, started: ExitStack) -> Start:
    """Starts a service: `service("A")`, `service("A", library="aiofase")`."""

    def start(name: str, library: Library = OURS, at: Endpoints = at, **settings: object) -> Service:
        return started.enter_context(Service(library, name, at, **settings))

    return start


@pytest.fixture
def raw(at: Endpoints) -> Iterator[Raw]:
    """Bare sockets at the test's hub, connected when first used."""
    with Raw(at) as sockets:
        yield sockets
