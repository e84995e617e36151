"""Several processes of one command, which end together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence

from ..._signals import until_signalled
from ...errors import ConfigurationError

WORKER = "IRONBRIDGE_MESH_WORKER"
"""The environment variable that tells a process its number, from 1."""
_GRACE = 30.0
"""Seconds for all to end in good order."""


def count_of(text: str) -> int:
    """How many processes `N` or `max` means, which is one for each core that this one may use.

    Raises:
        ConfigurationError: it is neither.
    """
    if text == "max":
        return len(os.sched_getaffinity(0))
    if not text.isdecimal() or not int(text):
        raise ConfigurationError(f"--instances {text}: give a number from 1 on, or max")
    return int(text)


def worker_number() -> int | None:
    """This process's number among its like; `None` when it is alone. What it starts itself is not told."""
    told = os.environ.pop(WORKER, None)
    return int(told) if told is not None else None


def run_instances(words: Sequence[str], count: int) -> int:
    """Runs `ironbridge WORDS` so many times, until SIGINT or SIGTERM, or one of them ends: all end then.

    Gives the exit code: that of the first that ended by itself, 0 otherwise.
    """
    return asyncio.run(_run([sys.executable, "-m", "ironbridge.cli", *words], count))


async def until_alone() -> None:
    """Returns when the process that started this one is there no more: its end of our standard input has closed."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        await reader.read()
    finally:
        transport.close()


async def _run(words: Sequence[str], count: int) -> int:
    ended = asyncio.Event()
    with until_signalled(ended):
        processes = [await _start(words, number) for number in range(1, count + 1)]
        waiting = [asyncio.ensure_future(process.wait()) for process in processes]
        told = asyncio.ensure_future(ended.wait())
        done, _ = await asyncio.wait([told, *waiting], return_when=asyncio.FIRST_COMPLETED)
        first = next((one.result() for one in waiting if one in done), 0)
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        _, late = await asyncio.wait(waiting, timeout=_GRACE)
        for process in processes if late else ():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await asyncio.gather(*waiting)
        told.cancel()
    # A signal's number is negative here, and no exit code.
    return first if first >= 0 else 128 - first


async def _start(words: Sequence[str], number: int) -> asyncio.subprocess.Process:
    environment = {**os.environ, WORKER: str(number)}
    return await asyncio.create_subprocess_exec(*words, env=environment, stdin=asyncio.subprocess.PIPE)
