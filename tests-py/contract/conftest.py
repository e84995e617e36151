"""Each behaviour runs on each lane."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from contract.callers import Caller
from contract.lanes import LANES, Lane, Served

Serve = Callable[..., Served]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for this machine, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    paths = folder / "certificate.pem", folder / "key.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    name = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    command = ["openssl", *words.split(), *name, "-out", str(paths[0]), "-keyout", str(paths[1])]
    subprocess.run(command, check=True, capture_output=True)
    return paths


@pytest.fixture(scope="module", params=LANES, ids=str)
def lane(request: pytest.FixtureRequest) -> Lane:
    chosen: Lane = request.param
    return chosen


@pytest.fixture(scope="module")
def served(lane: Lane, certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The service, for behaviours that leave it as it was."""
    with pytest.MonkeyPatch.context() as patch:
        directory = tmp_path_factory.mktemp("run")
        patch.setenv("IRONBRIDGE_RUNTIME_DIR", str(directory))
        with Served(lane, directory, certificate) as service:
            yield service


@pytest.fixture
def caller(served: Served) -> Iterator[Caller]:
    caller = served.connect()
    yield caller
    caller.close()


@pytest.fixture
def serve(
    lane: Lane, certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Serve]:
    """Starts a service for one behaviour, which may end it: `serve(environment={...}, workers=2)`."""
    monkeypatch.setenv("IRONBRIDGE_RUNTIME_DIR", str(tmp_path))
    with ExitStack() as stack:

        def start(environment: dict[str, str] | None = None, **daemon_options: Any) -> Served:
            service = Served(lane, tmp_path, certificate, daemon_options, environment or {})
            return stack.enter_context(service)

        yield start
