"""A peer that is no library's: `raw.py URI`. It tells messages as they are on the wire, and sends what it is told.

It is commanded as `actor.py` is.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import sys
from typing import Any

import aiormq

NAMES = {"datetime": datetime}


def say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}, default=repr), flush=True)


class Raw:
    """One channel."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    async def _tell(self, label: str, queue: str) -> None:
        async def taken(message: Any) -> None:
            properties = dict(message.header.properties)
            say(
                "packet",
                label=label,
                exchange=message.delivery.exchange,
                routing_key=message.delivery.routing_key,
                body=repr(message.body),
                properties=repr({name: value for name, value in properties.items() if value is not None}),
            )

        await self._channel.basic_consume(queue, taken, no_ack=True)

    async def watch(self, label: str, exchange: str, headers: dict[str, Any]) -> None:
        """What is published there with such headers."""
        queue = (await self._channel.queue_declare(exclusive=True)).queue
        await self._channel.exchange_declare(exchange, exchange_type="headers", durable=True)
        await self._channel.queue_bind(queue, exchange, arguments={"x-match": "all", **headers})
        await self._tell(label, queue)

    async def serve(self, label: str, exchange: str, method: str) -> None:
        """The calls of a method."""
        queue = f"{exchange}::{method}"
        await self._channel.exchange_declare(exchange, exchange_type="direct", auto_delete=True)
        dead = {"x-dead-letter-exchange": "rpc.dlx"}
        await self._channel.queue_declare(queue, auto_delete=True, arguments=dead)
        await self._channel.queue_bind(queue, exchange, queue)
        await self._tell(label, queue)

    async def ask(self, label: str, exchange: str, method: str, body: bytes, given: dict[str, Any]) -> None:
        """Calls a method, and tells the answer."""
        queue = (await self._channel.queue_declare(exclusive=True)).queue
        await self._tell(label, queue)
        properties = aiormq.spec.Basic.Properties(reply_to=queue, **given)
        key = f"{exchange}::{method}"
        await self._channel.basic_publish(body, exchange=exchange, routing_key=key, properties=properties)

    async def publish(self, exchange: str, body: bytes, given: dict[str, Any]) -> None:
        """Sends a message."""
        properties = aiormq.spec.Basic.Properties(**given)
        await self._channel.basic_publish(body, exchange=exchange, routing_key="", properties=properties)


async def main() -> None:
    """Does what standard input says."""
    connection = await aiormq.connect(sys.argv[1])
    raw = Raw(await connection.channel())
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    say("up")
    async for line in lines:
        command = json.loads(line)
        args, kwargs = eval(command["given"], dict(NAMES))
        await getattr(raw, command["do"])(*args, **kwargs)
        say("done", number=command["number"], result="None")
    await connection.close()


asyncio.run(main())
