"""Ironbridge's services under measurement. The daemons import this module."""

import ironbridge.bridge as meta


@meta.create("bench").daemon()
class Bench:
    """The endpoint that everybody serves, and an asynchronous one beside it."""

    def __init__(self, greeting: str) -> None:
        self.greeting = greeting

    @meta.function
    def get(self, word: str) -> str:
        """Greets."""
        return f"{self.greeting} {word}"

    @meta.function
    async def coroutine(self, word: str) -> str:
        """Greets from the daemon's event loop."""
        return f"{self.greeting} {word}"

    @meta.function
    def echo(self, data: bytes) -> bytes:
        """Gives back what it got."""
        return data


class Worker:
    """Keeps a processor busy for about two milliseconds a call."""

    def __init__(self, number: int) -> None:
        self.number = number

    @meta.function
    def work(self, rounds: int) -> int:
        """Adds up, in Python."""
        total = self.number
        for value in range(rounds):
            total ^= value
        return total


class OneWorker(Worker):
    """For a service of one process."""


class TwoWorkers(Worker):
    """For a service of two."""


class Idle:
    """For a daemon that is only looked at."""

    @meta.function
    def get(self, word: str) -> str:
        """Gives back what it got."""
        return word


meta.create("bench-workers-1").daemon(workers=1)(OneWorker)
meta.create("bench-workers-2").daemon(workers=2)(TwoWorkers)
meta.create("bench-idle").daemon()(Idle)
