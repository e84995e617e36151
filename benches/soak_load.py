"""The callers of a soak: threads and a loop that call in every way until standard input closes.

Ends with one JSON line: how many calls of each kind ended how. A call that ends in a way it should not,
or does not end, makes the line say so.
"""

import asyncio
import json
import sys
import threading
from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import Any

import ironbridge.bridge as meta
from soak_service import SERVICE

STUCK = 30.0
GONE = (meta.ConnectionLost, meta.ServiceUnavailable, meta.ServiceNotFound)
PAYLOAD = bytes(range(256)) * 4096
TASKS = 32


class Load:
    """What all callers share."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.moved: dict[str, float] = {}
        self.lock = threading.Lock()

    def ended(self, kind: str, how: str) -> None:
        """One call more."""
        with self.lock:
            self.counts[f"{kind} {how}"] += 1
            self.moved[kind] = monotonic()

    def surprise(self, kind: str, error: BaseException) -> None:
        """A call ended as it should not."""
        self.ended(kind, "wrong")
        with self.lock:
            if len(self.wrong) < 20:
                self.wrong.append(f"{kind}: {type(error).__name__}: {error}")

    def stuck(self) -> list[str]:
        """The kinds of which no call has ended for long."""
        with self.lock:
            return [kind for kind, at in self.moved.items() if monotonic() - at > STUCK]


def repeat(load: Load, kind: str, one: Callable[[], str]) -> None:
    """Calls until it is over. `one` says how its call ended; a departed daemon is no surprise."""
    load.ended(kind, "started")
    while not load.over.is_set():
        try:
            load.ended(kind, one())
        except GONE:
            load.ended(kind, "lost")
            load.over.wait(0.05)  # a daemon is being started
        except Exception as error:
            load.surprise(kind, error)


def kinds(client: Any) -> dict[str, tuple[int, Callable[[], str]]]:
    """What is called, and by how many threads."""
    hasty = client.with_options(timeout=0.02)
    silent = client.with_options(one_way=True)

    def get() -> str:
        assert client.get("x").endswith(" x")
        return "answered"

    def echo() -> str:
        assert client.echo(PAYLOAD) == PAYLOAD
        return "answered"

    def fail() -> str:
        try:
            client.fail("as it should")
        except ValueError:
            return "raised"
        raise AssertionError("it did not raise")

    def late() -> str:
        try:
            hasty.wait(0.1)
        except meta.DeadlineExceeded:
            return "too late"
        raise AssertionError("it was in time")

    def one_way() -> str:
        for _ in range(16):
            silent.get("x")
        client.get("x")  # nothing holds one-way calls back but the service's bound
        return "sent"

    def batch() -> str:
        with client.batch() as several:
            results = [several.get("x") for _ in range(50)]
        for result in results:
            result.result()
        return "answered"

    def reconnect() -> str:
        with meta.connect(SERVICE, int(monotonic() * 10) % 64) as other:
            other.get("x")
        return "answered"

    return {
        "get": (8, get),
        "echo": (1, echo),
        "fail": (1, fail),
        "late": (2, late),
        "one-way": (1, one_way),
        "batch": (1, batch),
        "reconnect": (1, reconnect),
    }


async def loop_load(load: Load) -> None:
    """Tasks of one loop; every eighth call is cancelled."""
    async with meta.connect_async(SERVICE, 1000) as client:

        async def work(number: int) -> None:
            turn = number
            while not load.over.is_set():
                turn += 1
                try:
                    if turn % 8:
                        await client.get("x")
                        load.ended("async", "answered")
                    else:
                        await asyncio.wait_for(client.wait(1.0), 0.002)
                except TimeoutError:
                    load.ended("async", "cancelled")
                except GONE:
                    load.ended("async", "lost")
                    await asyncio.sleep(0.05)  # a daemon is being started
                except Exception as error:
                    load.surprise("async", error)

        await asyncio.gather(*(work(number) for number in range(TASKS)))


def main() -> int:
    """Calls until told to end."""
    load = Load()
    with meta.connect(SERVICE, 0) as client:
        crew = [
            threading.Thread(target=repeat, args=(load, kind, one))
            for kind, (count, one) in kinds(client).items()
            for _ in range(count)
        ]
        crew.append(threading.Thread(target=lambda: asyncio.run(loop_load(load))))
        for member in crew:
            member.start()
        sys.stdin.read()
        stuck = load.stuck()
        load.over.set()
        for member in crew:
            member.join(STUCK)
        stuck += [f"{member.name} never ended" for member in crew if member.is_alive()]
    print(json.dumps({"counts": load.counts, "wrong": load.wrong, "stuck": stuck}), flush=True)
    return 1 if load.wrong or stuck else 0


if __name__ == "__main__":
    sys.exit(main())
