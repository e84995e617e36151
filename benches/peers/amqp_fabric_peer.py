"""amqp-fabric, as its document shows it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import contract
from amqp_fabric.abstract_service_api import AbstractServiceApi
from amqp_fabric.amq_broker_connector import AmqBrokerConnector
from contract import Figures

DISTRIBUTIONS = ("amqp-fabric",)
EXTRA: dict[str, Callable[[str, float], Figures]] = {}

DOMAIN = "original"


class Api(AbstractServiceApi):  # type: ignore[misc]
    """The endpoint that everybody serves."""

    def get(self, word: str) -> str:
        """Greets."""
        return contract.get(word)


def connector(address: str, name: str) -> Any:
    """One end."""
    return AmqBrokerConnector(
        amqp_uri=address, service_domain=DOMAIN, service_id=name, service_type="bench", keep_alive_seconds=5
    )


def serve(address: str, ready: Callable[[], None]) -> None:
    """Serves on asyncio's own loop."""

    async def main() -> None:
        amq = connector(address, "server")
        await amq.open(timeout=10)
        await amq.rpc_register(Api())
        ready()
        await asyncio.Event().wait()

    asyncio.run(main())


class LoopClient:
    """A proxy of the service."""

    def __init__(self, amq: Any, proxy: Any) -> None:
        self.amq = amq
        self.get: Callable[[str], Awaitable[str]] = lambda word: proxy.get(word=word)

    async def close(self) -> None:
        """Lets the connection go."""
        await self.amq.close()


async def AsyncClient(address: str) -> LoopClient:
    """Connects on the running loop."""
    amq = connector(address, "client")
    await amq.open(timeout=10)
    return LoopClient(amq, await amq.rpc_proxy(DOMAIN, "server", "bench"))
