"""What is measured around a hub, for any library that has `MicroService` and `Server`."""

import asyncio
import atexit
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import hub_services
from contract import Figures
from hub_services import ACKNOWLEDGED, CROWD, LISTENERS, request
from timing import figures_of, rate_of
from usage import allow_descriptors, cpu_seconds

WORD = "mundo! 0123456789"
PAYLOAD = "x" * 100
WIDTH = 100
WINDOW = 1000
"""Broadcasts that a listener may be behind: the original's queues hold as many before they drop."""
NOISE = 20
"""Messages a second that the bystanders do not want."""
SIGNS = 5.0
"""Seconds within which each service, of either library, gives a sign of life, which is a part of what it costs."""
PATIENCE = 30.0


class Group:
    """A hub and the services at it, each in a process of its own; ended at exit, or by `stop`."""

    def __init__(self, library: str, address: str, *parts: tuple[str, ...]) -> None:
        self.library = library
        self.endpoints = f"ipc://{address}.sender", f"ipc://{address}.receiver"
        self.processes = [self.start("hub")]
        atexit.register(self.stop)
        # Nothing that the original sends before its hub listens arrives.
        paths = [Path(path.removeprefix("ipc://")) for path in self.endpoints]
        try:
            wait(lambda: self.processes[0].poll() is not None or all(path.exists() for path in paths))
            if self.processes[0].returncode is not None:
                raise RuntimeError(f"its hub ended with {self.processes[0].returncode}")
        except RuntimeError:
            self.stop()
            raise
        self.processes += [self.start(*part) for part in parts]

    def start(self, part: str, number: str = "") -> "subprocess.Popen[bytes]":
        """One process."""
        words = [hub_services.__file__, self.library, part, *self.endpoints, number]
        return subprocess.Popen([sys.executable, *words], stdin=subprocess.DEVNULL, stdout=sys.stderr)

    def stop(self) -> None:
        """Kills them all, and waits."""
        atexit.unregister(self.stop)
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


def wait(seen: Callable[[], bool]) -> None:
    """Waits for what another process does."""
    for _ in range(int(PATIENCE * 100)):
        if seen():
            return
        threading.Event().wait(0.01)
    raise RuntimeError(f"not within {PATIENCE} s")


def asker(base: Any, sender: str, receiver: str) -> Any:
    """The service under measurement: it asks, and counts what comes back."""

    class Asker(base):  # type: ignore[misc]
        def __init__(self) -> None:
            self.answered: Callable[[str, Any], object] = lambda service, data: None
            """What to do with a response; if it says so, the next request follows."""
            super().__init__(self, sender_endpoint=sender, receiver_endpoint=receiver)

        async def on_response(self, service: str, data: Any) -> None:
            if self.answered(service, data):
                await request(self, "greet", WORD)

    return Asker()


class Measures:
    """One library's measures; its own service runs on a loop that is there from the first to the last."""

    def __init__(self, library: str) -> None:
        self.library = library
        self.loop = asyncio.new_event_loop()
        self.groups: dict[str, tuple[Group, Any]] = {}
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, work: Coroutine[Any, Any, Figures]) -> Figures:
        """Runs a measure on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE + 30)

    async def join(self, group: Group, names: int) -> tuple[Any, "asyncio.Task[None]"]:
        """The asking service at this group's hub, once so many others have been heard."""
        base = hub_services.module(self.library, "microservice").MicroService
        service = asker(base, *group.endpoints)
        running = asyncio.create_task(service.run())
        heard: set[str] = set()
        service.answered = lambda name, data: heard.add(name)
        async with asyncio.timeout(PATIENCE):
            while len(heard) < names:
                # Whoever is not yet subscribed misses a message, so each is sent again.
                await asyncio.sleep(0.1)
                await service.send_broadcast(None)
                await request(service, "greet", WORD)
                await service.response("Sink", 0)
        await asyncio.sleep(0.2)
        return service, running

    async def at(self, name: str, address: str, names: int, *parts: tuple[str, ...]) -> Any:
        """The asking service of a group that stays from one round to the next."""
        if name not in self.groups:
            group = await asyncio.to_thread(Group, self.library, f"{address}.{name}", *parts)
            service, running = await self.join(group, names)
            self.groups[name] = group, (service, running)
        return self.groups[name][1][0]

    async def pair(self, address: str) -> Any:
        """One that asks, one that answers."""
        return await self.at("pair", address, 1, ("greeter",))

    def request(self, address: str, seconds: float) -> Figures:
        """A request, its response, the next request: each response starts the next."""

        async def measure() -> Figures:
            service = await self.pair(address)
            await sequential(service, seconds / 5)
            return figures_of(await sequential(service, seconds))

        return self.run(measure())

    def in_flight(self, address: str, seconds: float) -> Figures:
        """A hundred requests under way: each response starts another."""

        async def measure() -> Figures:
            service = await self.pair(address)
            await abreast(service, seconds / 5)
            return await abreast(service, seconds)

        return self.run(measure())

    def awaited(self, address: str, seconds: float, call: Callable[[Any], Callable[[str], Any]]) -> Figures:
        """A request whose answer is awaited, as the library has it."""
        from timing import sequential_async

        async def measure() -> Figures:
            service = await self.pair(address)
            return await sequential_async(call(service), WORD, seconds)

        return self.run(measure())

    def broadcast(self, address: str, seconds: float) -> Figures:
        """Messages delivered to ten services, a second; none is more than the window behind."""

        async def measure() -> Figures:
            parts = [("listener", str(number)) for number in range(LISTENERS)]
            service = await self.at("listeners", address, LISTENERS, *parts)
            return await flood(service, seconds)

        return self.run(measure())

    def noise(self, address: str, seconds: float) -> Figures:
        """Processor time of each bystander, for each message that is not for it."""
        allow_descriptors(4096)

        async def measure() -> Figures:
            group = await asyncio.to_thread(Group, self.library, f"{address}.crowd", ("crowd",), ("sink",))
            running = None
            try:
                service, running = await self.join(group, CROWD + 1)
                return await disturb(service, group.processes[1].pid, max(seconds, SIGNS))
            finally:
                if running is not None:
                    running.cancel()
                    await asyncio.wait([running])
                await asyncio.to_thread(group.stop)

        return self.run(measure())


async def sequential(service: Any, seconds: float) -> list[int]:
    """Nanoseconds of each request with its response."""
    clock = perf_counter_ns
    samples: list[int] = []
    done = asyncio.Event()
    last = clock()
    end = last + int(seconds * 1e9)

    def answered(_service: str, _data: Any) -> bool:
        nonlocal last
        now = clock()
        samples.append(now - last)
        last = now
        if now >= end:
            done.set()
        return now < end

    service.answered = answered
    await request(service, "greet", WORD)
    async with asyncio.timeout(PATIENCE):
        await done.wait()
    return samples


async def abreast(service: Any, seconds: float) -> Figures:
    """Responses a second while there are always a hundred requests under way."""
    counted = missing = 0
    done = asyncio.Event()
    begun = perf_counter_ns()
    end = begun + int(seconds * 1e9)
    over = end

    def answered(_service: str, _data: Any) -> bool:
        nonlocal counted, missing, over
        now = perf_counter_ns()
        if now < end:
            counted += 1
            over = now
            return True
        missing -= 1
        if not missing:
            done.set()
        return False

    missing = WIDTH
    service.answered = answered
    for _ in range(WIDTH):
        await request(service, "greet", WORD)
    async with asyncio.timeout(PATIENCE):
        await done.wait()
    return rate_of(counted, over - begun)


async def flood(service: Any, seconds: float) -> Figures:
    """Broadcasts as fast as the slowest listener follows."""
    heard: dict[str, int] = {}
    news = asyncio.Event()

    def answered(name: str, count: Any) -> None:
        heard[name] = count
        news.set()

    async def until(reached: int) -> None:
        while len(heard) < LISTENERS or min(heard.values()) < reached:
            news.clear()
            async with asyncio.timeout(PATIENCE):
                await news.wait()

    service.answered = answered
    await service.send_broadcast(None)
    await until(0)
    sent = 0
    begun = perf_counter_ns()
    end = begun + int(seconds * 1e9)
    while perf_counter_ns() < end:
        for _ in range(ACKNOWLEDGED):
            await service.send_broadcast(PAYLOAD)
        sent += ACKNOWLEDGED
        await until(sent - WINDOW + ACKNOWLEDGED)
    await until(sent)
    return rate_of(sent * LISTENERS, perf_counter_ns() - begun)


async def disturb(service: Any, crowd: int, seconds: float) -> Figures:
    """Messages to one service at a steady pace, beside a crowd that does not want them."""
    messages = int(NOISE * seconds)
    begun = cpu_seconds(crowd)
    for number in range(messages):
        come_back = asyncio.Event()
        service.answered = lambda _name, data, number=number, done=come_back: done.set() if data == number else None
        await service.response("Sink", number)
        await asyncio.sleep(1 / NOISE)
        async with asyncio.timeout(PATIENCE):
            await come_back.wait()
    used = cpu_seconds(crowd) - begun
    return {"cost": used / CROWD / messages * 1e6, "percent": used / seconds * 100, "samples": messages}
