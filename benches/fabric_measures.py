"""What is measured at a broker beside calls, for any library: publishing with confirms, and taking messages."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter_ns
from typing import TypeAlias

from contract import Figures, Measure
from filling import BODY, Filler
from timing import in_flight, rate_of, sequential_async

WORD = "mundo! 0123456789"
WIDTH = 100
PREFETCH = 200
"""Calls or messages that a server or subscriber takes at once, where its library lets it."""
TOGETHER = 50
"""Messages that one acknowledgement is for, where the program does it by hand."""
PLENTY = 60_000
"""More messages a second than anybody takes."""
KEPT = 1000
"""Messages that stay in the queue that is published to and never read."""
SETTLING = 0.1
"""Seconds for the callbacks that still run, and acknowledge, when their consumer has been cancelled."""

SINK = {"kind": "sink"}
TAKEN = {"kind": "taken"}
"""Headers that lead a message to the queue that is never read, and to the one that is."""

Publish: TypeAlias = Callable[[bytes], Awaitable[object]]
"""Publishes 1 KiB with the headers `SINK`; awaiting it waits for the broker's confirm."""
Stop: TypeAlias = Callable[[], Awaitable[object]]
Subscribe: TypeAlias = Callable[["Tally"], Awaitable[Stop]]
"""Takes what carries `TAKEN`, from a queue that goes with its last consumer, and counts. Returns what ends it."""


class Tally:
    """What a subscriber's callback has got so far."""

    def __init__(self) -> None:
        self.count = 0


def publishing(address: str, exchange: str, publish: Publish) -> Mapping[str, Measure]:
    """Its measures: one after the other, and with that many awaiting their confirm."""

    def measure(window: int) -> Measure:
        async def taken(seconds: float) -> Figures:
            filler = Filler(address)
            filler.bind(exchange, f"{exchange}.sink", SINK, **{"x-max-length": KEPT})
            filler.close()
            if window == 1:
                return await sequential_async(publish, BODY, seconds)
            return await in_flight(publish, BODY, window, seconds)

        return taken

    return {f"publish{window}": measure(window) for window in (1, 100, 1000)}


def taking(address: str, exchange: str, queue: str, subscribe: Subscribe) -> Measure:
    """Messages that a callback gets a second, from a queue that is full of them."""
    fillers: list[Filler] = []

    async def filler() -> Filler:
        """Keeps the queue from one round to the next; the library has declared it, in its own way."""
        if not fillers:
            stop = await subscribe(Tally())
            fillers.append(Filler(address))
            fillers[0].hold(queue)
            await stop()
        return fillers[0]

    async def measure(seconds: float) -> Figures:
        enough = int(1.5 * seconds * PLENTY)
        await asyncio.to_thread((await filler()).fill, exchange, queue, TAKEN, enough)
        tally = Tally()
        stop = await subscribe(tally)
        await asyncio.sleep(seconds / 5)
        before, begun = tally.count, perf_counter_ns()
        await asyncio.sleep(seconds)
        figures = rate_of(tally.count - before, perf_counter_ns() - begun)
        await stop()
        if not before or tally.count >= enough:
            raise RuntimeError(f"{tally.count} of {enough} messages were taken, {before} while it warmed up")
        return figures

    return measure
