"""The service of the contract, run as a program of its own; its options come from the environment."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from typing import Any, Literal

import ironbridge.bridge as meta

registration = meta.create("contract", **json.loads(os.environ["CONTRACT_OPTIONS"]))


@registration.daemon(**json.loads(os.environ["CONTRACT_DAEMON"]))
class Contract:
    """One instance, shared by every caller of one name: so one can ask how another's call goes."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.lock = threading.Lock()
        self.counted = 0
        self.states: dict[str, str] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.doors: dict[str, threading.Event] = {}

    @meta.function
    def echo(self, value: Any) -> Any:
        return value

    @meta.function
    async def echo_async(self, value: Any) -> Any:
        return value

    @meta.function
    def zeros(self, count: int) -> bytes:
        return bytes(count)

    @meta.function
    def shape(self, a: int, b: int = 2, *rest: int, c: int = 3, **more: int) -> tuple[Any, ...]:
        return a, b, rest, c, more

    @meta.function
    def fail(self, kind: Literal["value", "own"]) -> None:
        if kind == "value":
            raise ValueError("not this", 7)
        raise Unheard("of")

    @meta.function
    async def fail_async(self, kind: Literal["value", "own"]) -> None:
        self.fail(kind)

    @meta.function
    def count(self) -> int:
        with self.lock:
            self.counted += 1
            return self.counted

    @meta.function
    async def hold(self, name: str) -> str:
        """Waits until `release(name)`."""
        self.states[name] = "held"
        try:
            await self.gates.setdefault(name, asyncio.Event()).wait()
        except asyncio.CancelledError:
            self.states[name] = "cancelled"
            raise
        self.states[name] = "finished"
        return name

    @meta.function
    def hold_plain(self, name: str) -> str:
        """The same in a function that looks whether its caller has gone."""
        call = meta.current_call()
        assert call is not None
        self.states[name] = "held"
        door = self.doors.setdefault(name, threading.Event())
        while not door.wait(0.005):
            if call.cancelled:
                self.states[name] = "cancelled"
                return name
        self.states[name] = "finished"
        return name

    @meta.function
    async def work(self, name: str, seconds: float) -> str:
        """Takes that long, whatever happens to its caller."""
        self.states[name] = "held"
        await asyncio.sleep(seconds)
        return name

    @meta.function
    def work_plain(self, name: str, seconds: float) -> str:
        self.states[name] = "held"
        time.sleep(seconds)
        return name

    @meta.function
    async def release(self, name: str) -> None:
        self.gates.setdefault(name, asyncio.Event()).set()
        self.doors.setdefault(name, threading.Event()).set()

    @meta.function
    def state(self, name: str) -> str | None:
        return self.states.get(name)

    @meta.function
    def remaining(self) -> float | None:
        """Seconds left to the call that asks."""
        call = meta.current_call()
        assert call is not None
        return call.remaining

    @meta.function
    def pid(self) -> int:
        return os.getpid()


class Unheard(Exception):
    """A class that callers have not loaded."""


if __name__ == "__main__":
    handle = meta.run("contract")
    print("serving", handle.pid, flush=True)
    handle.join()
    print("ended", handle.exitcode, flush=True)
