"""Fills the worker's queue: `fill.py BUS COUNT`."""

import asyncio
import sys

import aio_pika


async def main(bus: str, count: int) -> None:
    """Publishes as fast as it can, and returns when the broker has all."""
    async with await aio_pika.connect(bus) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("bench")
        body = aio_pika.Message(b'{"number":1}', delivery_mode=2)
        for at in range(0, count, 500):
            await asyncio.gather(*(exchange.publish(body, "made.#") for _ in range(min(500, count - at))))


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
