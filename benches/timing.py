"""The loops that time calls. Each warms up for a fifth of its time first."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter_ns
from typing import TypeVar

from contract import Figures

T = TypeVar("T")

BATCH = 100


def sequential(call: Callable[[T], object], argument: T, seconds: float) -> Figures:
    """One call after the other, each timed; the clock's own 0.05 to 0.1 µs is in the figures."""
    _repeat(call, argument, seconds / 5)
    return figures_of(_repeat(call, argument, seconds))


def _repeat(call: Callable[[T], object], argument: T, seconds: float) -> list[int]:
    clock = perf_counter_ns
    samples: list[int] = []
    add = samples.append
    last = clock()
    end = last + int(seconds * 1e9)
    while last < end:
        call(argument)
        now = clock()
        add(now - last)
        last = now
    return samples


async def sequential_async(call: Callable[[T], Awaitable[object]], argument: T, seconds: float) -> Figures:
    """The same, awaiting each."""
    await _repeat_async(call, argument, seconds / 5)
    return figures_of(await _repeat_async(call, argument, seconds))


async def _repeat_async(call: Callable[[T], Awaitable[object]], argument: T, seconds: float) -> list[int]:
    clock = perf_counter_ns
    samples: list[int] = []
    add = samples.append
    last = clock()
    end = last + int(seconds * 1e9)
    while last < end:
        await call(argument)
        now = clock()
        add(now - last)
        last = now
    return samples


async def batched_async(call: Callable[[T], Awaitable[object]], argument: T, seconds: float) -> Figures:
    """The same in batches, each timed: where a look at the clock costs as much as a call."""
    await _batches(call, argument, seconds / 5)
    samples = await _batches(call, argument, seconds)
    return spread([sample / 1000 / BATCH for sample in samples]) | rate_of(len(samples) * BATCH, sum(samples))


async def _batches(call: Callable[[T], Awaitable[object]], argument: T, seconds: float) -> list[int]:
    clock = perf_counter_ns
    samples: list[int] = []
    last = clock()
    end = last + int(seconds * 1e9)
    while last < end:
        for _ in range(BATCH):
            await call(argument)
        now = clock()
        samples.append(now - last)
        last = now
    return samples


def threads(calls: Sequence[Callable[[T], object]], argument: T, seconds: float) -> Figures:
    """One thread for each of `calls`, all at once; the rate is their sum."""
    _together(calls, argument, seconds / 5)
    return _together(calls, argument, seconds)


def _together(calls: Sequence[Callable[[T], object]], argument: T, seconds: float) -> Figures:
    counts = [0] * len(calls)
    failures: list[Exception] = []
    over = False

    def work(index: int, call: Callable[[T], object]) -> None:
        start.wait()
        done = 0
        try:
            while not over:
                call(argument)
                done += 1
        except Exception as error:
            failures.append(error)
        counts[index] = done

    start = threading.Barrier(len(calls) + 1)
    crew = [threading.Thread(target=work, args=pair) for pair in enumerate(calls)]
    for member in crew:
        member.start()
    start.wait()
    begun = perf_counter_ns()
    threading.Event().wait(seconds)
    over = True
    for member in crew:
        member.join()
    if failures:
        raise failures[0]
    return rate_of(sum(counts), perf_counter_ns() - begun)


async def in_flight(call: Callable[[T], Awaitable[object]], argument: T, width: int, seconds: float) -> Figures:
    """`width` tasks on one loop, each with one call under way at any time."""
    await _abreast(call, argument, width, seconds / 5)
    return await _abreast(call, argument, width, seconds)


async def _abreast(call: Callable[[T], Awaitable[object]], argument: T, width: int, seconds: float) -> Figures:
    over = False
    done = 0

    def stop() -> None:
        nonlocal over
        over = True

    async def work() -> None:
        nonlocal done
        while not over:
            await call(argument)
            done += 1

    asyncio.get_running_loop().call_later(seconds, stop)
    begun = perf_counter_ns()
    await asyncio.gather(*(work() for _ in range(width)))
    return rate_of(done, perf_counter_ns() - begun)


def rate_of(done: int, nanoseconds: int) -> Figures:
    return {"samples": done, "rate": done / nanoseconds * 1e9}


def spread(samples: Sequence[float]) -> Figures:
    """Percentiles of `samples`, in their own unit."""
    ordered = sorted(samples)

    def at(percent: int) -> float:
        return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]

    return {"samples": len(ordered), "p50": at(50), "p90": at(90), "p99": at(99)}


def figures_of(nanoseconds: list[int]) -> Figures:
    return spread([sample / 1000 for sample in nanoseconds]) | rate_of(len(nanoseconds), sum(nanoseconds))
