"""Ironbridge, through its public names only: `connect` for threads, `connect_async` for loops."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import ironbridge.bridge as meta
from contract import GREETING, Figures
from timing import sequential, spread, threads
from usage import allow_descriptors, cpu_seconds, descriptors, proportional_bytes

from peers import ours_service

DISTRIBUTIONS = ("ironbridge",)
SHARED = True

SERVICE = "bench"
DEADLINE = 30.0
CLIENTS = 100
MANY = 1000
WORK = 20_000

handles: list[meta.DaemonHandle] = []


def serve(address: str, ready: Callable[[], None]) -> None:
    """Runs the daemon, a child of this process; the name is its address."""
    handles.append(meta.run(SERVICE))
    ready()
    threading.Event().wait()


def stop() -> None:
    """Ends the daemon."""
    for handle in handles:
        handle.stop()


class Client:
    """One client, shared by every thread."""

    def __init__(self, address: str) -> None:
        self.client: Any = meta.connect(SERVICE, GREETING)
        self.get: Callable[[str], str] = self.client.get
        self.echo: Callable[[bytes], bytes] = self.client.echo

    def close(self) -> None:
        """Lets the connections go."""
        self.client.close()


class LoopClient:
    """The loop's connection; every call has a deadline."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.get = client.with_options(timeout=DEADLINE).get

    async def close(self) -> None:
        """Lets the connection go."""
        await self.client.close()


async def AsyncClient(address: str) -> LoopClient:
    """Connects on the running loop."""
    return LoopClient(await meta.connect_async(SERVICE, GREETING))


def coroutine(address: str, seconds: float) -> Figures:
    """The endpoint that is a coroutine, called like the plain one."""
    with meta.connect(SERVICE, GREETING) as client:
        return sequential(client.coroutine, "mundo! 0123456789", seconds)


@contextmanager
def running(name: str) -> Iterator[meta.DaemonHandle]:
    """A daemon of its own for one measure."""
    handle = meta.run(name)
    try:
        yield handle
    finally:
        handle.stop()


def workers(count: int) -> Callable[[str, float], Figures]:
    """Eight callers, an instance each, of a service with that many processes."""

    def measure(address: str, seconds: float) -> Figures:
        name = f"bench-workers-{count}"
        with running(name):
            clients = [meta.connect(name, number) for number in range(8)]
            figures = threads([client.work for client in clients], WORK, max(seconds, 0.5))
            for client in clients:
                client.close()
        return figures

    return measure


def connect(address: str, seconds: float) -> Figures:
    """Milliseconds until a client is ready to call."""
    samples = []
    end = perf_counter() + seconds
    while (before := perf_counter()) < end:
        client = meta.connect(SERVICE, GREETING)
        samples.append((perf_counter() - before) * 1000)
        client.close()
    return spread(samples)


def run(address: str, seconds: float) -> Figures:
    """Milliseconds until a daemon serves, in programs of their own."""
    program = Path(ours_service.__file__).with_name("ours_empty.py")
    samples = []
    for _ in range(3):
        done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
        samples.append(float(done.stdout))
    return spread(samples)


@contextmanager
def connected(pid: int, count: int) -> Iterator[None]:
    """That many clients of the idle service, each of which has called once."""
    before = descriptors(pid)
    clients = [meta.connect("bench-idle") for _ in range(count)]
    try:
        for client in clients:
            client.get("x")
        opened = descriptors(pid) - before  # what was closed just before may still have counted
        if opened < count * 0.9 - 8:
            raise RuntimeError(f"{count} clients opened {opened} connections")
        yield
    finally:
        for client in clients:
            client.close()


def idle(address: str, seconds: float) -> Figures:
    """Processor time of a daemon whose hundred clients do nothing."""
    with running("bench-idle") as handle, connected(handle.pid, CLIENTS):
        settle(1.0)  # what the connecting started
        begun, used = perf_counter(), cpu_seconds(handle.pid)
        settle(max(seconds, 2.0))
        used = cpu_seconds(handle.pid) - used
        return {"percent": used / (perf_counter() - begun) * 100}


def settle(seconds: float) -> None:
    """Lets time pass."""
    threading.Event().wait(seconds)


def memory(address: str, seconds: float) -> Figures:
    """Megabytes of a daemon that has answered one client, who has gone."""
    with running("bench-idle") as handle:
        with connected(handle.pid, 1):
            pass
        return {"daemon": proportional_bytes(handle.pid) / 1e6}


def connections(address: str, seconds: float) -> Figures:
    """Kilobytes that one more idle connection costs the daemon."""
    allow_descriptors(4 * MANY)
    with running("bench-idle") as handle, connected(handle.pid, CLIENTS):
        before = proportional_bytes(handle.pid)
        with connected(handle.pid, MANY):
            return {"each": (proportional_bytes(handle.pid) - before) / MANY / 1e3}


EXTRA = {
    "coroutine": coroutine,
    "workers1": workers(1),
    "workers2": workers(2),
    "connect": connect,
    "run": run,
    "idle": idle,
    "memory": memory,
    "connections": connections,
}
