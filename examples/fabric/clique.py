"""A clique: three servers of one identity. One is killed in the middle of its work, and no caller notices.

python clique.py [amqp://user:password@host/vhost]
"""

from __future__ import annotations

import asyncio
import collections
import os
import sys
from typing import Any

from ironbridge.fabric import AbstractServiceApi, AmqBrokerConnector, current_call

IDENTITY = ("shop", "press", "left")  # domain, type, id
CALLS = 300


class PressApi(AbstractServiceApi):
    async def squeeze(self, number: int) -> tuple[int, int, bool]:
        """The number, who did it, and whether another server may have begun it before."""
        await asyncio.sleep(0.02)
        call = current_call()
        return number, os.getpid(), call is not None and call.redelivered


async def serve(uri: str) -> None:
    async with AmqBrokerConnector(uri, *IDENTITY, keep_alive_seconds=0.5, prefetch=4) as connector:
        await connector.rpc_register(PressApi())
        await asyncio.Event().wait()


async def call(uri: str) -> None:
    domain, kind, service_id = IDENTITY
    loop = asyncio.get_running_loop()
    command = [sys.executable, __file__, uri, "serve"]
    servers = [await asyncio.create_subprocess_exec(*command) for _ in range(3)]
    try:
        async with AmqBrokerConnector(uri, domain, "customer", "one") as connector:
            press = await connector.rpc_proxy(domain, service_id, kind, timeout=30)
            all_there = asyncio.Event()

            def heard(_headers: dict[str, Any]) -> None:
                presses = connector.list_services(service_type=kind, details=True)
                if any(service["servers"] == len(servers) for service in presses):
                    loop.call_soon_threadsafe(all_there.set)

            await connector.subscribe_service_keepalives("customer", heard, service_type=kind)
            await all_there.wait()

            calls = [press.squeeze(number=number) for number in range(CALLS)]  # they are on their way
            await calls[CALLS // 4]
            servers[0].kill()  # the broker gives its calls to the others
            answers = await asyncio.gather(*calls)

            done = collections.Counter(pid for _, pid, _ in answers)
            print(f"{len({number for number, _, _ in answers})} of {CALLS} calls answered, by {len(done)} servers")
            print(f"{sum(again for _, _, again in answers)} were given to a second server")
    finally:
        for server in servers:
            if server.returncode is None:
                server.kill()
            await server.wait()


def main(uri: str = "amqp://guest:guest@127.0.0.1/", role: str = "call") -> None:
    asyncio.run(serve(uri) if role == "serve" else call(uri))


if __name__ == "__main__":
    main(*sys.argv[1:])
