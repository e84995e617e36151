"""Rules for every Python test: nothing is skipped or expected to fail, and no service of this machine is touched."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness import RabbitMQ, Redis

_SETUP = Path(__file__).resolve().parents[1] / "scripts/setup.sh"
_REFUSED = "nothing may be skipped or expected to fail here; the set-up provides what a test needs"


def pytest_configure(config: pytest.Config) -> None:
    """Gives the run a runtime directory of its own, so names of services are free, and the default settings."""
    # A run in the background inherits "ignore Ctrl+C", and the programs it starts would, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith("IRONBRIDGE_") or name == "META_WORKERS"]:
        del os.environ[name]
    directory = tempfile.mkdtemp(prefix="ironbridge-tests-")
    os.environ["IRONBRIDGE_RUNTIME_DIR"] = directory
    config.add_cleanup(lambda: shutil.rmtree(directory, ignore_errors=True))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Whoever has started the tests, the servers and npm packages that they need are there."""
    # A copy of these rules, with which they are tested, has nothing to set up.
    if _SETUP.exists() and not hasattr(session.config, "workerinput"):
        subprocess.run([_SETUP, "servers"], check=True, stdin=subprocess.DEVNULL)


def _refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.outcome == "skipped" or hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else getattr(report, "wasxfail", "")
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: {reason}\n{_REFUSED}"
        if hasattr(report, "wasxfail"):
            del report.wasxfail


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse(report)
    # What was logged may hold what no text can, and must reach the process that gathers reports.
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse(report)
    return report


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """A broker that all tests share; it is started when the first asks for it."""
    from harness import RabbitMQ

    with RabbitMQ() as broker:
        yield broker


@pytest.fixture
def vhost_name(rabbitmq: RabbitMQ) -> Iterator[str]:
    """A virtual host of the shared broker, for this test alone."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    rabbitmq.add_vhost(name)
    yield name
    rabbitmq.delete_vhost(name)


@pytest.fixture
def vhost(rabbitmq: RabbitMQ, vhost_name: str) -> str:
    """The URI of a virtual host for this test alone."""
    return rabbitmq.uri(vhost=vhost_name)


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    """A Redis that all tests share; it is started when the first asks for it."""
    from harness import Redis

    with Redis() as server:
        yield server
