"""Private servers on ports of their own, which a test may restart, freeze and kill."""

from __future__ import annotations

import shutil
import signal
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.net import dial, free_port
from harness.processes import Program, wait_until


class PrivateServer(ABC):
    """A server program with a port and a folder of its own; a context manager.

    A subclass says `command()` and how readiness shows: `ready_line`, a pattern in the log, or, where it is None,
    the port accepting connections.
    """

    program: str = ""
    ready_line: str | None = None

    def __init__(self, host: str = "127.0.0.1", port: int | None = None, start_deadline: float = 20.0) -> None:
        self.host = host
        self.port = port or free_port(host)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.program or 'server'}-"))
        self._start_deadline = start_deadline
        self._process: Program | None = None

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """The words that start the server in the foreground on `self.host` and `self.port`."""

    def environment(self) -> Mapping[str, str]:
        """What to add to the environment."""
        return {}

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    @property
    def process(self) -> Program:
        assert self._process is not None, "the server was not started"
        return self._process

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def start(self) -> None:
        """Starts the server and returns when it is ready."""
        assert not self.running, "the server runs already"
        words = list(self.command())
        found = shutil.which(str(words[0]), path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/sbin:/bin")
        assert found, f"{words[0]} is not installed: `make setup` installs it"
        self._process = Program([found, *words[1:]], env=self.environment(), cwd=self.folder)
        try:
            if self.ready_line is not None:
                self._process.wait_line(self.ready_line, self._start_deadline)
            else:
                self._wait_port()
        except BaseException:
            self._process.close()
            raise

    def stop(self) -> None:
        """Asks the server to end (SIGTERM) and waits for it; also when it is frozen."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.signal(signal.SIGTERM)
            self._process.thaw()
            self._process.wait_exit()
        self._process.close()

    def kill(self) -> None:
        """kill -9, and waits for the end."""
        self.process.kill()
        self.process.close()

    def restart(self) -> None:
        """Stops the server and starts it again on the same port, in the same folder."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """The process stands still, its sockets stay open: what a peer sees of a machine that hangs."""
        self.process.freeze()

    def thaw(self) -> None:
        self.process.thaw()

    def close(self) -> None:
        """Kills what runs and removes the folder."""
        if self._process is not None:
            self._process.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait_port(self) -> None:
        def answers() -> bool:
            if not self.running:
                raise AssertionError(f"{self.program} ended with {self.process.returncode}:\n{self.process.output}")
            try:
                dial(self.address, 1.0).close()
            except OSError:
                return False
            return True

        wait_until(answers, self._start_deadline, f"{self.program} on port {self.port}")


class Redis(PrivateServer):
    """A Redis that keeps nothing on disk. `options` are added to the command, such as `"--unixsocket", path`."""

    program = "redis-server"
    ready_line = "Ready to accept connections"

    def __init__(self, *options: str | Path) -> None:
        super().__init__()
        self._options = options

    def command(self) -> Sequence[str | Path]:
        where: list[str | Path] = ["--bind", self.host, "--port", str(self.port), "--dir", self.folder]
        return ["redis-server", *where, "--save", "", "--appendonly", "no", "--daemonize", "no", *self._options]

    def ask(self, *words: str, timeout: float = 5.0) -> bytes:
        """Sends one command on a connection of its own; the first bytes of the answer, as they come."""
        text = f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        with dial(self.address, timeout) as stream:
            stream.sendall(text.encode())
            return stream.recv(65536)


class Mosquitto(PrivateServer):
    """An MQTT broker for this machine, open to everybody on it, that keeps nothing on disk."""

    program = "mosquitto"
    ready_line = "mosquitto version .* running"

    def command(self) -> Sequence[str | Path]:
        settings = self.folder / "mosquitto.conf"
        settings.write_text(f"listener {self.port} {self.host}\nallow_anonymous true\npersistence false\nuser root\n")
        return ["mosquitto", "-c", settings]
