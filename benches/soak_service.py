"""The service that a soak loads. Its daemon imports this module."""

import asyncio

import ironbridge.bridge as meta

SERVICE = "soak"


@meta.create(SERVICE, cache_size=16).daemon()
class Soak:
    """A little of everything that a service does."""

    def __init__(self, number: int) -> None:
        self.number = number

    @meta.function
    def get(self, word: str) -> str:
        """Answers at once."""
        return f"{self.number} {word}"

    @meta.function
    def echo(self, data: bytes) -> bytes:
        """Gives back what it got."""
        return data

    @meta.function
    def fail(self, word: str) -> None:
        """Never succeeds."""
        raise ValueError(word)

    @meta.function
    async def wait(self, seconds: float) -> float:
        """Answers after a while."""
        await asyncio.sleep(seconds)
        return seconds
