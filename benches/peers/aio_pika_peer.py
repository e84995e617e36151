"""aio-pika: its JSON-RPC pattern with a good prefetch, its publisher confirms, its consumers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aio_pika
import contract
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustConnection
from aio_pika.patterns import JsonRPC
from contract import Figures, Measure
from fabric_measures import PREFETCH, SETTLING, SINK, TAKEN, TOGETHER, Stop, Tally, publishing, taking

DISTRIBUTIONS = ("aio-pika", "aiormq")
EXTRA: dict[str, Callable[[str, float], Figures]] = {}

EXCHANGE = "aio-pika.data"
QUEUE = "aio-pika.taken"


def serve(address: str, ready: Callable[[], None]) -> None:
    """Serves on asyncio's own loop."""
    asyncio.run(serving(address, "get", ready))


async def serving(address: str, name: str, ready: Callable[[], None], **channel: Any) -> None:
    """Answers calls of `name`, `PREFETCH` of them at once."""

    async def get(*, word: str) -> str:
        return contract.get(word)

    connection = await aio_pika.connect_robust(address)
    async with connection:
        opened = await connection.channel(**channel)
        await opened.set_qos(prefetch_count=PREFETCH)
        rpc = await JsonRPC.create(opened)
        await rpc.register(name, get, auto_delete=True)
        ready()
        await asyncio.Event().wait()


class LoopClient:
    """One connection; calls, publishing and each kind of subscription have channels of their own."""

    def __init__(self, address: str, connection: AbstractRobustConnection) -> None:
        self.address, self.connection = address, connection
        self.get: Callable[[str], Awaitable[Any]]
        self.measures: Mapping[str, Measure]

    async def open(self, name: str, **channel: Any) -> None:
        """Opens the channels."""
        rpc = await JsonRPC.create(await self.connection.channel(**channel))
        self.get = lambda word: rpc.call(name, {"word": word})
        exchange = await (await self.connection.channel()).declare_exchange(
            EXCHANGE, aio_pika.ExchangeType.HEADERS, durable=True
        )

        def publish(body: bytes) -> Awaitable[Any]:
            return exchange.publish(aio_pika.Message(body, headers={**SINK}), "", mandatory=False)

        self.measures = {
            **publishing(self.address, EXCHANGE, publish),
            "each": taking(self.address, EXCHANGE, QUEUE, self.each),
            "coalesced": taking(self.address, EXCHANGE, QUEUE, self.together),
        }

    async def each(self, tally: Tally) -> Stop:
        """The callback acknowledges each message."""

        async def take(message: AbstractIncomingMessage) -> None:
            tally.count += 1
            await message.ack()

        return await self.subscribe(take)

    async def together(self, tally: Tally) -> Stop:
        """The callback acknowledges all it has got since it last did, once in a while."""

        async def take(message: AbstractIncomingMessage) -> None:
            tally.count += 1
            if tally.count % TOGETHER == 0:
                await message.ack(multiple=True)

        return await self.subscribe(take)

    async def subscribe(self, take: Callable[[AbstractIncomingMessage], Awaitable[Any]]) -> Stop:
        """Consumes on a channel of its own, until told to stop."""
        channel = await self.connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        queue = await channel.declare_queue(QUEUE, auto_delete=True)
        await queue.bind(EXCHANGE, "", arguments={"x-match": "all", **TAKEN})
        tag = await queue.consume(take)

        async def stop() -> None:
            await queue.cancel(tag)
            await asyncio.sleep(SETTLING)
            await channel.close()

        return stop

    async def close(self) -> None:
        """Lets the connection go."""
        await self.connection.close()


async def AsyncClient(address: str) -> LoopClient:
    """Connects on the running loop."""
    client = LoopClient(address, await aio_pika.connect_robust(address))
    await client.open("get")
    return client
