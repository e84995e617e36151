"""A pool of processes for CPU-bound work: two workers behind one name, called from threads.

python examples/worker_pool.py
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import ironbridge.bridge as meta

LIMIT = 400_000
PIECE = 20_000


@meta.create("primes").daemon(workers=2)
class Primes:
    """Counts primes. Its one endpoint needs no instance, so any worker takes any call."""

    @meta.function
    @staticmethod
    def count(first: int, last: int) -> tuple[int, int]:
        """How many primes are in `first..last`, and the process that counted them."""
        found = sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(max(first, 2), last))
        return found, os.getpid()


def pieces() -> Iterator[tuple[int, int]]:
    for first in range(0, LIMIT, PIECE):
        yield first, first + PIECE


def main() -> None:
    handle = meta.run()
    try:
        with meta.connect("primes") as client, ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda piece: client.count(*piece), pieces()))
        total = sum(found for found, _ in answers)
        workers = {pid for _, pid in answers}
        print(f"{total} primes below {LIMIT}, counted by {len(workers)} processes")
    finally:
        handle.stop()


if __name__ == "__main__":
    main()
