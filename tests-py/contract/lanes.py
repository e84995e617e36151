"""A lane: a way for calls to reach a service. Each has a way to serve the contract and a caller of one shape."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness import Program, free_port

from contract.callers import AsyncCaller, BlockingCaller, Caller

TOKEN = "5f" * 32


@dataclass(frozen=True)
class Lane:
    """How to reach the service (`wire`) and how to wait for it (`style`)."""

    wire: Literal["unix", "tcp", "tls"]
    style: Literal["blocking", "asyncio"]

    def __str__(self) -> str:
        return f"{self.wire}-{self.style}"


LANES = [
    Lane("unix", "blocking"),
    Lane("unix", "asyncio"),
    Lane("tcp", "blocking"),
    Lane("tcp", "asyncio"),
    Lane("tls", "blocking"),
    Lane("tls", "asyncio"),
]


@dataclass
class Served:
    """The contract's service, running; a context manager."""

    lane: Lane
    directory: Path
    certificate: tuple[Path, Path]
    daemon_options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)

    def start(self) -> None:
        """Starts it; also again, at the same place."""
        options: dict[str, Any] = {}
        if self.lane.wire != "unix":
            options = {"host": "127.0.0.1", "port": self.port, "token": TOKEN}
        if self.lane.wire == "tls":
            options |= {"tls_cert": str(self.certificate[0]), "tls_key": str(self.certificate[1])}
        self.program = Program.python(
            Path(__file__).with_name("service.py"),
            env={
                "IRONBRIDGE_RUNTIME_DIR": str(self.directory),
                "CONTRACT_OPTIONS": json.dumps(options),
                "CONTRACT_DAEMON": json.dumps(dict(self.daemon_options)),
                **self.environment,
            },
        )
        self.pid = int(self.program.wait_line(r"serving (\d+)", 20).group(1))

    def connect(self, name: str = "", *, port: int | None = None) -> Caller:
        """A caller on this lane of the instance of that name; through another port when a relay stands between."""
        target, options = "contract", dict[str, Any]()
        if self.lane.wire != "unix":
            target, options = f"tcp://127.0.0.1:{port or self.port}/contract", {"token": TOKEN}
        if self.lane.wire == "tls":
            options["tls_ca"] = str(self.certificate[0])
        if name:
            options["init"] = {"name": name}
        kind = BlockingCaller if self.lane.style == "blocking" else AsyncCaller
        return kind(target, options)

    def terminate(self) -> None:
        """SIGTERM to the daemon: it drains."""
        os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """kill -9 of the daemon; returns when it has ended."""
        os.kill(self.pid, signal.SIGKILL)
        self.program.wait_line(r"ended ")
        self.program.close()

    def wait_ended(self) -> int:
        """The daemon's exit code, once it has ended."""
        return int(self.program.wait_line(r"ended (-?\d+)").group(1))

    def __enter__(self) -> Served:
        self.start()
        return self

    def __exit__(self, *failure: object) -> None:
        if self.program.returncode is None:
            self.program.signal(signal.SIGTERM)
        self.program.close()
