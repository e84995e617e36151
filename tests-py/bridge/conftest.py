"""What the bridge's tests share: programs written to files, and waits for processes."""

from __future__ import annotations

import os
import select
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness import Program

Start = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a program from its text: `start(text, name="app.py", args=[...], env={...})`; `module=` uses `-m`."""
    with ExitStack() as stack:

        def run(
            text: str,
            *arguments: str,
            name: str = "program.py",
            module: str | None = None,
            flags: tuple[str, ...] = (),
            env: dict[str, str] | None = None,
        ) -> Program:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            source = textwrap.dedent(text)
            # Another program may be reading it at this moment.
            if not path.exists() or path.read_text() != source:
                path.write_text(source)
            target = ["-m", module] if module else [str(path)]
            command = [sys.executable, "-u", *flags, *target, *arguments]
            return stack.enter_context(Program(command, env=env, cwd=tmp_path))

        yield run


class Held:
    """A process held by a descriptor, so that its end can be waited for."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)

    def ends(self, deadline: float = 10.0) -> bool:
        """Whether it ends within `deadline` seconds."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(deadline * 1000))

    def lives(self) -> bool:
        return not self.ends(0)

    def close(self) -> None:
        os.close(self._pidfd)


@pytest.fixture
def hold() -> Iterator[Callable[[int], Held]]:
    """Holds a process by its number; what still lives at the end of the test is killed."""
    held: list[Held] = []

    def take(pid: int) -> Held:
        held.append(Held(pid))
        return held[-1]

    yield take
    for process in held:
        if process.lives():
            os.kill(process.pid, 9)
        process.close()
