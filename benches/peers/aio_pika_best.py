"""aio-pika's JSON-RPC at its best: on uvloop at both ends, and no confirms for messages that are answered."""

from collections.abc import Callable

import aio_pika
import uvloop
from contract import Figures

from peers.aio_pika_peer import LoopClient, serving

DISTRIBUTIONS = ("aio-pika", "aiormq", "uvloop")
EXTRA: dict[str, Callable[[str, float], Figures]] = {}

NAME = "get-unconfirmed"


def serve(address: str, ready: Callable[[], None]) -> None:
    """Serves on uvloop."""
    uvloop.run(serving(address, NAME, ready, publisher_confirms=False))


async def AsyncClient(address: str) -> LoopClient:
    """Connects on the running loop."""
    client = LoopClient(address, await aio_pika.connect_robust(address))
    await client.open(NAME, publisher_confirms=False)
    return client
