"""Ironbridge's fabric: the original's program with the import changed, and coroutines, publishing and subscriptions."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import contract
import reconnecting
from contract import Figures, Measure
from fabric_measures import PREFETCH, SINK, TAKEN, WIDTH, WORD, Stop, Tally, publishing, taking
from ironbridge.fabric import AbstractServiceApi, AmqBrokerConnector, IncomingMessage
from timing import in_flight, sequential_async

DISTRIBUTIONS = ("ironbridge",)
EXTRA: dict[str, Callable[[str, float], Figures]] = {"reconnects": reconnecting.measure}

DOMAIN = "ironbridge"


class Api(AbstractServiceApi):
    """The endpoint that everybody serves, plain and as a coroutine."""

    def get(self, word: str) -> str:
        """Greets."""
        return contract.get(word)

    async def coroutine(self, word: str) -> str:
        """Greets from the loop."""
        return contract.get(word)


def connector(address: str, name: str) -> AmqBrokerConnector:
    """One end."""
    return AmqBrokerConnector(
        amqp_uri=address,
        service_domain=DOMAIN,
        service_id=name,
        service_type="bench",
        keep_alive_seconds=5,
        prefetch=PREFETCH,
    )


def serve(address: str, ready: Callable[[], None]) -> None:
    """Serves on asyncio's own loop."""

    async def main() -> None:
        async with connector(address, "server") as amq:
            await amq.rpc_register(Api())
            ready()
            await asyncio.Event().wait()

    asyncio.run(main())


class LoopClient:
    """One connector for all."""

    def __init__(self, address: str, amq: AmqBrokerConnector, proxy: Any) -> None:
        self.amq = amq
        self.get: Callable[[str], Awaitable[str]] = lambda word: proxy.get(word=word)

        def coroutine(word: str) -> Awaitable[str]:
            called: Awaitable[str] = proxy.coroutine(word=word)
            return called

        exchange, queue = amq.data_exchange, f"{DOMAIN}.taken"
        self.measures: Mapping[str, Measure] = {
            "coroutine": lambda seconds: sequential_async(coroutine, WORD, seconds),
            "coroutines": lambda seconds: in_flight(coroutine, WORD, WIDTH, seconds),
            **publishing(address, exchange, lambda body: amq.publish_data(body, SINK)),
            "each": taking(address, exchange, queue, lambda tally: self.each(queue, tally)),
            "coalesced": taking(address, exchange, queue, lambda tally: self.coalesced(queue, tally)),
        }

    async def each(self, queue: str, tally: Tally) -> Stop:
        """The callback acknowledges each message."""

        async def take(message: IncomingMessage) -> None:
            tally.count += 1
            await message.ack()

        return await self.subscribe(queue, take, ack="manual")

    async def coalesced(self, queue: str, tally: Tally) -> Stop:
        """A message is acknowledged when its callback has returned."""

        async def take(message: IncomingMessage) -> None:
            tally.count += 1

        return await self.subscribe(queue, take, ack="auto")

    async def subscribe(
        self, queue: str, take: Callable[[IncomingMessage], Awaitable[None]], ack: Literal["auto", "manual"]
    ) -> Stop:
        """Takes from the queue of that name, until told to stop."""
        subscription = await self.amq.subscribe_data("bench", TAKEN, take, queue=queue, ack=ack, prefetch=PREFETCH)
        return subscription.cancel

    async def close(self) -> None:
        """Lets the connection go."""
        await self.amq.close()


async def AsyncClient(address: str) -> LoopClient:
    """Connects on the running loop."""
    amq = connector(address, "client")
    await amq.open()
    return LoopClient(address, amq, await amq.rpc_proxy(DOMAIN, "server", "bench"))
