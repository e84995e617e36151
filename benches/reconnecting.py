"""Memory of a service whose connection to the broker is cut again and again, by a relay between the two.

`reconnecting.py URI` is that service: it serves, calls, subscribes, publishes, and says so each time all of it works.
"""

import asyncio
import subprocess
import sys
import tempfile
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from broker import Relay
from contract import Figures
from usage import resident_bytes

TIMES = 1000
SETTLED = 100
"""Reconnects after which caches are full and allocators have found their size."""


def measure(address: str, seconds: float) -> Figures:
    """Takes as long as it takes, so once only: more rounds give the same figures."""
    return growth(address)


@cache
def growth(address: str) -> Figures:
    """Megabytes that are in use more after the last reconnect than after the first hundred."""
    place = urlsplit(address)
    assert place.hostname and place.port
    with Relay((place.hostname, place.port)) as between, tempfile.TemporaryFile("w+") as words:
        assert not isinstance(between.address, str)
        uri = address.replace(f":{place.port}/", f":{between.address[1]}/")
        command = [sys.executable, __file__, uri]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=words, text=True) as service:
            assert service.stdout
            sizes = []
            for line in service.stdout:
                assert line == "works\n"
                sizes.append(resident_bytes(service.pid))
                if len(sizes) > TIMES:
                    service.kill()
                    break
                between.cut()
        if len(sizes) <= TIMES:
            words.seek(0)
            last = words.read().strip().splitlines()[-1:]
            raise RuntimeError(f"the service ended after {len(sizes)} connections: {last}")
    return {"growth": (sizes[-1] - sizes[SETTLED]) / 1e6, "resident": sizes[-1] / 1e6, "samples": TIMES}


async def main(uri: str) -> None:
    """Works, waits until it is cut off, and works again."""
    from fabric_measures import SINK, TAKEN
    from ironbridge.fabric import (
        AbstractServiceApi,
        AmqBrokerConnector,
        EndpointNotFound,
        IncomingMessage,
        ServiceUnavailable,
    )

    class Api(AbstractServiceApi):
        def get(self, word: str) -> str:
            return word

    lost = asyncio.Event()
    received = asyncio.Event()

    def follow(state: str) -> None:
        if state == "lost":
            lost.set()

    async def take(message: IncomingMessage) -> None:
        received.set()

    async def call(proxy: Any) -> None:
        """Calls itself, as soon as its own methods are back at the broker."""
        while True:
            try:
                assert await proxy.get(word="x") == "x"
                return
            except (EndpointNotFound, ServiceUnavailable):
                await asyncio.sleep(0.001)

    amq = AmqBrokerConnector(
        uri, "reconnecting", "bench", "one", keep_alive_seconds=5, on_state=follow, options={"backoff_first": 0.01}
    )
    async with amq:
        await amq.rpc_register(Api())
        await amq.subscribe_data("reconnecting", TAKEN, take, durable=True)
        proxy = await amq.rpc_proxy("reconnecting", "one", "bench", idempotent=True)
        while True:
            lost.clear()
            await call(proxy)
            received.clear()
            await amq.publish_data(b"x", SINK)
            await amq.publish_data(b"x", TAKEN)
            await received.wait()
            print("works", flush=True)
            await lost.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
