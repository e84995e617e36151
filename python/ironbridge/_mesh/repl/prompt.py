"""Reading lines, with completion and history where there is a terminal, while the broker goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import IronbridgeError
from .commands import Commands
from .words import WrongLine, read

PROMPT = "mesh> "
_HISTORY = 1_000


async def prompt(commands: Commands, fail: Callable[[BaseException], None]) -> None:
    """Reads lines and runs them until `exit`, or their end. Ctrl+C ends what runs, not this.

    Args:
        commands: runs them.
        fail: tells what went wrong with one.
    """
    with _editing(commands.names):
        wanted = True
        while wanted:
            text = await asyncio.to_thread(_line)
            if text is None:
                return
            running = asyncio.ensure_future(_run(commands, text))
            with _interrupting(running):
                try:
                    wanted = await running
                except asyncio.CancelledError:
                    fail(InterruptedError("interrupted"))
                except (IronbridgeError, WrongLine, ValueError) as error:
                    fail(error)


async def _run(commands: Commands, text: str) -> bool:
    return await commands.run(read(text))


def _line() -> str | None:
    """One; `None` at the end."""
    try:
        return input(PROMPT if sys.stdin.isatty() else "").strip()
    except (EOFError, KeyboardInterrupt):
        return None


@contextmanager
def _interrupting(task: asyncio.Future[Any]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(RuntimeError, ValueError):
        loop.add_signal_handler(signal.SIGINT, task.cancel)
    try:
        yield
    finally:
        with contextlib.suppress(RuntimeError, ValueError):
            loop.remove_signal_handler(signal.SIGINT)


@contextmanager
def _editing(names: Callable[[], list[str]]) -> Iterator[None]:
    """Completion by the tab key, and the lines of before."""
    if not sys.stdin.isatty():
        yield
        return
    import readline

    def complete(text: str, state: int) -> str | None:
        found = [name for name in names() if name.startswith(text)]
        return found[state] if state < len(found) else None

    file = _history()
    readline.set_completer_delims(" \t\n")
    readline.set_completer(complete)
    readline.parse_and_bind("tab: complete")
    readline.set_history_length(_HISTORY)
    with contextlib.suppress(OSError):
        readline.read_history_file(file)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            file.touch(mode=0o600)
            readline.write_history_file(file)


def _history() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    folder = Path(base) / "ironbridge"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / "mesh_history"
