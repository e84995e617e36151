"""One contender under measurement: its server and its client, each an `agent.py` process of its own."""

import json
import os
import selectors
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

from contract import Figures
from placement import prefix

AGENT = Path(__file__).with_name("agent.py")
START = 30.0
ANSWER = 60.0
LONGER = {"reconnects": 900.0}
"""Measures that take long, whatever seconds are asked for."""


class Failed(Exception):
    """A contender did not start, or went; the text says why."""


class Refused(Exception):
    """It could not take one measure; the text says why."""


class Contender:
    """Starts with the constructor (`ready` waits for it); `stop` ends both processes.

    They meet at `address`: a broker's, or else a socket of their own.
    """

    def __init__(self, name: str, placement: str, address: str | None = None) -> None:
        self.name, self.placement = name, placement
        self.directory = tempfile.TemporaryDirectory(prefix=f"bench-{name}-")
        self.address = address or f"{self.directory.name}/socket"
        self.environment = os.environ | {"IRONBRIDGE_RUNTIME_DIR": self.directory.name}
        self.processes: list[subprocess.Popen[str]] = []
        self.server = self.agent("server")
        self.client: subprocess.Popen[str] | None = None

    def agent(self, part: str) -> "subprocess.Popen[str]":
        """Starts one of the two."""
        with self.words(part).open("w") as words:
            process = subprocess.Popen(
                [*prefix(self.placement), sys.executable, str(AGENT), self.name, part, self.address],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                env=self.environment,
                text=True,
            )
        self.processes.append(process)
        return process

    def words(self, part: str) -> Path:
        """Where an agent complains."""
        return Path(self.directory.name, f"{part}.log")

    def ready(self) -> None:
        """Returns when the server listens and the client has been started."""
        self.line(self.server, "server", START)
        self.client = self.agent("client")

    def visit(self, measure: str, seconds: float) -> Figures:
        """Takes one measure."""
        if self.client is None:
            raise Failed("not started")
        command = json.dumps({"measure": measure, "seconds": seconds}) + "\n"
        try:
            assert_pipe(self.client.stdin).write(command)
            assert_pipe(self.client.stdin).flush()
        except BrokenPipeError:
            raise Failed("its client has ended") from None
        patience = LONGER.get(measure, ANSWER + 3 * seconds)
        reply: dict[str, Any] = json.loads(self.line(self.client, "client", patience))
        if error := reply.get("error"):
            raise Refused(error)
        figures: Figures = reply["figures"]
        return figures

    def line(self, process: "subprocess.Popen[str]", part: str, timeout: float) -> str:
        """One line from an agent, or why there is none."""
        pipe = assert_pipe(process.stdout)
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            if not selector.select(timeout):
                raise Failed(f"its {part} said nothing for {timeout:.0f} s")
        if text := pipe.readline():
            return text
        last = self.words(part).read_text().strip().splitlines()[-1:] or ["no words"]
        raise Failed(f"its {part} ended: {last[0]}")

    def stop(self) -> None:
        """Closes the pipes, which ends both, and waits."""
        for process in reversed(self.processes):
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except BrokenPipeError:
                        continue
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.directory.cleanup()


def assert_pipe(pipe: IO[str] | None) -> IO[str]:
    """The pipe that was asked for at the start."""
    if pipe is None:
        raise Failed("no pipe")
    return pipe
