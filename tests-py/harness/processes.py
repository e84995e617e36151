"""Programs run as children, their lines captured; waits with a deadline."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeVar

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], deadline: float = 10.0, what: str = "") -> T:
    """Asks `predicate` until it is true, for at most `deadline` seconds; for what has no event to wait on."""
    end = time.monotonic() + deadline
    pause = threading.Event()
    while not (answer := predicate()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline} s: {what or getattr(predicate, '__name__', predicate)}")
        pause.wait(0.005)
    return answer


def lenient(seconds: float) -> float:
    """A bound that holds on a quiet machine, widened by how many programs share each core now."""
    return seconds * max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)))


class Program:
    """A child process whose output lines are collected as they come.

    It leads a process group of its own, and the group is killed when the `with` block ends.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
    ) -> None:
        self.command = [str(word) for word in command]
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self._news = threading.Condition()
        self._open_streams = 2
        self._process = subprocess.Popen(
            self.command,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            bufsize=1,
            start_new_session=True,
        )
        assert self._process.stdout and self._process.stderr
        self._readers = [
            threading.Thread(target=self._collect, args=(stream, lines), daemon=True)
            for stream, lines in ((self._process.stdout, self.stdout), (self._process.stderr, self.stderr))
        ]
        for reader in self._readers:
            reader.start()

    @classmethod
    def python(
        cls,
        program: str | Path,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
    ) -> Self:
        """Runs a file (a `Path`) or a program text (a `str`) with this interpreter, its output unbuffered."""
        source = [str(program)] if isinstance(program, Path) else ["-c", program]
        return cls([sys.executable, "-u", *source, *arguments], env=env, cwd=cwd)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code once the program has ended; a negative one is a signal."""
        return self._process.poll()

    @property
    def output(self) -> str:
        """All that was written so far, for messages."""
        with self._news:
            return "\n".join([*self.stdout, *(f"stderr: {line}" for line in self.stderr)])

    def wait_line(self, pattern: str, deadline: float = 10.0) -> re.Match[str]:
        """The first line, of either stream, in which `pattern` is found; waits for it."""
        wanted = re.compile(pattern)

        def found() -> re.Match[str] | None:
            matches = (wanted.search(line) for line in [*self.stdout, *self.stderr])
            return next((match for match in matches if match), None)

        with self._news:
            self._news.wait_for(lambda: found() or not self._open_streams, deadline)
            match = found()
        if match is None:
            raise AssertionError(f"no line like {pattern!r} from {self.command}; it wrote:\n{self.output}")
        return match

    def say(self, line: str) -> None:
        """Writes one line to the program's standard input."""
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def interrupt(self) -> None:
        """Ctrl+C."""
        self.signal(signal.SIGINT)

    def waits(self) -> bool:
        """Whether its main thread sleeps, in whatever call."""
        return _state(self.pid) == "S"

    def freeze(self, deadline: float = 10.0) -> None:
        """Stops the process where it is (SIGSTOP); returns when it stands still."""
        self.signal(signal.SIGSTOP)
        wait_until(lambda: _state(self.pid) == "T", deadline, f"{self.command[0]} frozen")

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9 of this process alone, and waits for its end."""
        self._process.kill()
        self._process.wait()

    def wait_exit(self, deadline: float = 10.0) -> int:
        """The exit code; all lines have been collected when it returns."""
        try:
            code = self._process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.command} still runs; it wrote:\n{self.output}") from None
        for reader in self._readers:
            reader.join(1.0)  # a grandchild may hold the pipes open for longer
        return code

    def close(self) -> None:
        """Kills the whole process group and frees the pipes."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self._process.wait()
        for reader in self._readers:
            reader.join(5.0)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _collect(self, stream: IO[str], lines: list[str]) -> None:
        for line in stream:
            with self._news:
                lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._open_streams -= 1
            self._news.notify_all()


def _state(pid: int) -> str:
    """The letter the kernel gives the process's state: R, S, T (stopped), Z…"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
