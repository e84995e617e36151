"""What the tests of faults share: a daemon to kill and freeze, programs that call it, calls made side by side."""

from __future__ import annotations

import itertools
import json
import os
import signal
import textwrap
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import ironbridge.bridge as meta
from harness import Program, wait_until

PATIENCE = 20.0
"""Seconds after which a call that has not ended fails the test."""

_numbers = itertools.count()


@dataclass
class Daemon:
    """The service of these tests, running in a process of its own; a context manager."""

    environment: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    daemon: dict[str, Any] = field(default_factory=dict)
    name: str = field(default_factory=lambda: f"faulty-{next(_numbers)}")

    def start(self) -> None:
        """Starts it; also again, after its end."""
        self.program = Program.python(
            Path(__file__).with_name("faults_service.py"),
            env={
                "FAULTS_NAME": self.name,
                "FAULTS_OPTIONS": json.dumps(self.options),
                "FAULTS_DAEMON": json.dumps(self.daemon),
                **self.environment,
            },
        )
        self.pid = int(self.program.wait_line(r"serving (\d+)", 20).group(1))

    def connect(self, *args: Any, **options: Any) -> meta.ServiceClient:
        return meta.connect(self.name, *args, **options)

    def kill(self) -> None:
        """kill -9; returns when the process has ended."""
        os.kill(self.pid, signal.SIGKILL)
        self.program.wait_line(r"ended ")
        self.program.close()

    def freeze(self) -> None:
        """SIGSTOP; returns when it stands still."""
        os.kill(self.pid, signal.SIGSTOP)
        wait_until(lambda: all(state == "T" for state in self._states()), what="the daemon frozen")

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM: it drains."""
        os.kill(self.pid, signal.SIGTERM)

    def ended(self, deadline: float = 10.0) -> int:
        """Its exit code, once it has ended."""
        return int(self.program.wait_line(r"ended (-?\d+)", deadline).group(1))

    def resident(self) -> int:
        """Bytes of memory that it holds."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no Pss")

    def _states(self) -> list[str]:
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.program.returncode is None:
            # Whatever the test did to it, it ends.
            for number in (signal.SIGCONT, signal.SIGKILL):
                try:
                    os.kill(self.pid, number)
                except ProcessLookupError:
                    pass
        self.program.close()


@dataclass
class Load:
    """Calls from many threads, over and over, each outcome counted."""

    client: meta.ServiceClient
    call: Callable[[meta.ServiceClient], object]
    threads: int = 16
    begun: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    errors: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stop = False
        self._pool = ThreadPoolExecutor(self.threads)
        self._running = [self._pool.submit(self._work) for _ in range(self.threads)]
        return self

    def _work(self) -> tuple[int, Counter[str], list[BaseException]]:
        begun, outcomes, errors = 0, Counter[str](), list[BaseException]()
        while not self._stop:
            begun += 1
            try:
                self.call(self.client)
                outcomes["result"] += 1
            except meta.IronbridgeError as error:
                outcomes[type(error).__name__] += 1
                errors.append(error)
                if isinstance(error, (meta.ServiceNotFound, meta.ServiceUnavailable)):
                    break
        return begun, outcomes, errors

    def finish(self) -> None:
        """Ends the load and adds up; every thread's last call must end."""
        self._stop = True
        for one in self._running:
            begun, outcomes, errors = one.result(PATIENCE)
            self.begun += begun
            self.outcomes += outcomes
            self.errors += errors

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop = True
        self._pool.shutdown(wait=kind is None, cancel_futures=True)


def side_by_side(works: list[Callable[[], Any]]) -> list[Future[Any]]:
    """Runs each in a thread of its own, all at once; returns when the last has ended."""
    with ThreadPoolExecutor(len(works)) as pool:
        return [pool.submit(work) for work in works]


def program(text: str, daemon: Daemon, *, env: dict[str, str] | None = None) -> Program:
    """A Python program, run as a child; `NAME` is the daemon's name there."""
    head = f"import os, sys, threading, time\nimport ironbridge.bridge as meta\nNAME = {daemon.name!r}\n"
    return Program.python(head + textwrap.dedent(text), env=env)
