"""Starting a process again when a file of its changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

_LOOK = 0.5
"""Seconds between two looks at the files."""
_END = 25.0
"""Seconds for a process to end in good order."""
_PASSED_OVER = {"__pycache__", "node_modules", ".git", ".venv", "dist", "build"}


def reload(words: Sequence[str], folders: Iterable[Path]) -> None:
    """Runs `ironbridge WORDS`, and again whenever a Python file in the folders has changed; until SIGINT or SIGTERM.

    Args:
        words: the command line.
        folders: where the files are.
    """
    places = [folder for folder in folders if folder.is_dir()]
    ended: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: ended.append(number))
    process = _start(words)
    seen = _times(places)
    while not ended:
        time.sleep(_LOOK)
        now = _times(places)
        if now != seen:
            seen = now
            _stop(process)
            process = _start(words)
    _stop(process)


def _start(words: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "ironbridge.cli", *words])


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _times(folders: Iterable[Path]) -> dict[str, float]:
    found: dict[str, float] = {}
    for folder in folders:
        for place, inner, files in os.walk(folder):
            inner[:] = [one for one in inner if one not in _PASSED_OVER and not one.startswith(".")]
            for file in files:
                if file.endswith(".py"):
                    path = os.path.join(place, file)
                    try:
                        found[path] = os.stat(path).st_mtime
                    except FileNotFoundError:
                        continue
    return found
