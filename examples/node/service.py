"""A service for the Node.js client beside it: on this machine by name, and over TCP with a token.

python examples/node/service.py 7411 a-secret-of-yours
"""

from __future__ import annotations

import asyncio
import sys

import ironbridge.bridge as meta

PORT, TOKEN = int(sys.argv[1]), sys.argv[2]


@meta.create("inventory", host="127.0.0.1", port=PORT, token=TOKEN).daemon()
class Inventory:
    """What a warehouse has in stock."""

    def __init__(self, city: str) -> None:
        self.city = city
        self.items: dict[str, int] = {}

    @meta.endpoint
    def add(self, item: str, count: int = 1, *, unit: str = "piece") -> str:
        """Adds to the stock."""
        self.items[item] = self.items.get(item, 0) + count
        return f"{self.items[item]} × {unit} of {item} in {self.city}"

    @meta.endpoint
    def take(self, item: str) -> None:
        """Takes one away."""
        if self.items.get(item, 0) == 0:
            raise LookupError(f"no {item} in {self.city}")
        self.items[item] -= 1

    @meta.endpoint
    def stock(self) -> dict[str, int]:
        """What there is."""
        return self.items

    @meta.endpoint
    def picture(self, size: int) -> bytes:
        """A large value, which travels beside the payload."""
        return bytes(size)

    @meta.endpoint
    async def slowly(self, number: int) -> int:
        """A coroutine: many of them run at once."""
        await asyncio.sleep(0.01)
        return number * number


if __name__ == "__main__":
    with meta.run() as handle:
        print(f"inventory serves on 127.0.0.1:{PORT}; Ctrl+C ends it", flush=True)
        handle.join()
