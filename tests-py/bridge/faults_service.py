"""The service of the tests of faults, run as a program of its own; its options come from the environment."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from typing import Any

import ironbridge.bridge as meta

NAME = os.environ["FAULTS_NAME"]
MARKS = os.environ.get("FAULTS_MARKS")
registration = meta.create(NAME, **json.loads(os.environ["FAULTS_OPTIONS"]))

lock = threading.Lock()
built: list[str] = []
closed: list[str] = []
counts: dict[str, int] = {}
states: dict[str, str] = {}
doors: dict[str, threading.Event] = {}
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")
marks = os.open(os.path.join(MARKS, "count"), os.O_CREAT | os.O_APPEND | os.O_WRONLY) if MARKS else -1
clients: dict[str, meta.ServiceClient] = {}


def called_back(number: int) -> int:
    with meta.connect(NAME) as client:
        echoed: int = client.echo(number)
    return echoed * 2


def door(name: str) -> threading.Event:
    with lock:
        return doors.setdefault(name, threading.Event())


@registration.daemon(**json.loads(os.environ["FAULTS_DAEMON"]))
class Faulty:
    """Endpoints that take their time, fork, call back, and remember what they did."""

    def __init__(self, name: str = "", building: float = 0.0) -> None:
        time.sleep(building)
        self.name = name
        with lock:
            built.append(name)
        if name.startswith("broken"):
            raise ValueError(f"{name} cannot be built")
        if name.startswith("async"):
            self.aclose = self._aclose

    def close(self) -> None:
        with lock:
            closed.append(self.name)

    async def _aclose(self) -> None:
        await asyncio.sleep(0)
        self.close()

    @meta.function
    @staticmethod
    def echo(value: Any) -> Any:
        return value

    @meta.function
    @staticmethod
    def pid() -> int:
        return os.getpid()

    @meta.function
    def whoami(self) -> tuple[str, int]:
        return self.name, id(self)

    @meta.function
    async def whoami_async(self) -> tuple[str, int]:
        return self.whoami()

    @meta.function
    def meet(self, others: int) -> str:
        """Waits until so many run this on this instance, itself among them."""
        with lock:
            met = self.__dict__.setdefault("met", threading.Barrier(others))
        met.wait(20)
        return self.name

    @meta.function
    def linger(self, seconds: float) -> str:
        """Holds its instance that long."""
        states[self.name] = "held"
        time.sleep(seconds)
        with lock:
            return f"{self.name} closed" if self.name in closed else f"{self.name} open"

    @meta.function
    @staticmethod
    def built() -> list[str]:
        with lock:
            return list(built)

    @meta.function
    @staticmethod
    def closed() -> list[str]:
        with lock:
            return list(closed)

    @meta.function
    @staticmethod
    def mark() -> None:
        """Counts in a file, which outlives this process: one byte for each call that ran."""
        os.write(marks, b".")

    @meta.function
    @staticmethod
    def count(name: str) -> int:
        with lock:
            counts[name] = counts.get(name, 0) + 1
            return counts[name]

    @meta.function
    @staticmethod
    def counted(name: str) -> int:
        with lock:
            return counts.get(name, 0)

    @meta.function
    @staticmethod
    def sleep(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    @meta.function
    @staticmethod
    def later(seconds: float, size: int) -> bytes:
        """So many bytes, after a while."""
        time.sleep(seconds)
        return bytes(size)

    @meta.function
    @staticmethod
    async def nap(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    @meta.function
    @staticmethod
    def spin(name: str) -> int:
        """Computes until `release(name)`."""
        gate, turns = door(name), 0
        states[name] = "held"
        while not gate.is_set():
            turns += sum(range(500))
        return turns

    @meta.function
    @staticmethod
    def hold(name: str) -> str:
        """Waits until `release(name)`."""
        states[name] = "held"
        door(name).wait()
        states[name] = "finished"
        return name

    @meta.function
    @staticmethod
    def hold_until_cancelled(name: str) -> None:
        """Waits until nobody waits for it any more."""
        call = meta.current_call()
        assert call is not None
        states[name] = "held"
        while not call.cancelled:
            door(name).wait(0.005)
        states[name] = "cancelled"

    @meta.function
    @staticmethod
    async def hold_async(name: str) -> str:
        states[name] = "held"
        await asyncio.to_thread(door(name).wait)
        states[name] = "finished"
        return name

    @meta.function
    @staticmethod
    def release(name: str) -> None:
        door(name).set()

    @meta.function
    @staticmethod
    def state(name: str) -> str | None:
        return states.get(name)

    @meta.function
    @staticmethod
    def remember(value: str) -> str:
        """Sets a context variable; returns what it was."""
        before = variable.get()
        variable.set(value)
        return before

    @meta.function
    @staticmethod
    async def remember_async(value: str) -> str:
        before = variable.get()
        variable.set(value)
        await asyncio.sleep(0)
        assert variable.get() == value
        return before

    @meta.function
    @staticmethod
    def nested(depth: int, services: list[str] | None = None) -> int:
        """Calls so many levels deep: back into its own service, or into these in turn."""
        if depth == 0:
            return 0
        service = services[depth % len(services)] if services else NAME
        with lock:
            client = clients.get(service)
        if client is None:
            client = clients.setdefault(service, meta.connect(service))
        below: int = client.nested(depth - 1, services)
        return below + 1

    @meta.function
    @staticmethod
    def alone(seconds: float) -> int:
        """How many run this at once."""
        with lock:
            counts["alone"] = counts.get("alone", 0) + 1
        time.sleep(seconds)
        with lock:
            most = counts["alone"]
            counts["alone"] -= 1
        return most

    @meta.function
    @staticmethod
    def fork(how: str, name: str) -> int:
        """Leaves a grandchild behind that does nothing, and holds on to what it got; the call then waits."""
        child = os.fork() if how == "os.fork" else ctypes.CDLL(None).fork()
        if child == 0:
            signal.pause()
            os._exit(0)
        states[name] = str(child)
        door(name).wait()
        return child

    @meta.function
    @staticmethod
    def fork_and_return(status: int | None) -> int:
        """Its child comes back from the endpoint, as a careless program's does."""
        child = os.fork()
        if child == 0:
            if status is not None:
                sys.exit(status)
            return -1
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    @meta.function
    @staticmethod
    def pooled(numbers: list[int]) -> list[int]:
        """Computes in forked processes, which call back into the service."""
        with multiprocessing.get_context("fork").Pool(2) as pool:
            return pool.map(called_back, numbers)

    @meta.function
    @staticmethod
    def switch_interval() -> float:
        return sys.getswitchinterval()


if __name__ == "__main__":
    handle = meta.run(NAME)
    print("serving", handle.pid, flush=True)
    handle.join()
    print("ended", handle.exitcode, flush=True)
