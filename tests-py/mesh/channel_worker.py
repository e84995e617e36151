"""A node as a program: takes messages of the channel `work`, tells that it has begun, and never ends one."""

from __future__ import annotations

import asyncio
import json
import sys

from ironbridge.mesh import BaseService, Broker, channel


class Work(BaseService):
    @channel("work")
    async def begin(self, params: dict[str, int]) -> None:
        print(f"begun {params['number']}", flush=True)
        await asyncio.Event().wait()


async def main() -> None:
    broker = Broker(**json.loads(sys.argv[1]))
    Work(broker, "workers")
    async with broker:
        print("ready", flush=True)
        await asyncio.Event().wait()


asyncio.run(main())
