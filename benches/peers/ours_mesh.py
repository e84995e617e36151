"""Ironbridge's mesh: two nodes, as Moleculer.js's contender has them, on asyncio's own loop."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import contract
from agent import loop_factory
from contract import Figures, Measure
from ironbridge.mesh import BaseService, Broker, action
from timing import batched_async

DISTRIBUTIONS = ("ironbridge",)
SHARED = True
EXTRA: dict[str, Callable[[str, float], Figures]] = {}

PATIENCE = 20_000
"""Milliseconds."""


class Greeter(BaseService):
    """The endpoint that everybody serves."""

    @action()
    async def get(self, params: dict[str, Any]) -> str:
        """Greets."""
        return contract.get(params["word"])


async def node(address: str, name: str, service: str) -> Broker:
    """One node with one service; nodes on another kind of loop are strangers."""
    kind = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    broker = Broker(name, transporter=address, namespace=f"ironbridge-{kind}")
    Greeter(broker, service)
    await broker.start()
    return broker


def serve_on(loop: str, address: str, ready: Callable[[], None]) -> None:
    """Serves on a loop of that kind."""

    async def main() -> None:
        await node(address, "server", "greeter")
        ready()
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
        runner.run(main())


serve = partial(serve_on, "asyncio")


class LoopClient:
    """A node on the running loop."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.measures: Mapping[str, Measure] = {"local": self.local}

    def get(self, word: str) -> Awaitable[str]:
        """Calls the other node."""
        return self.broker.call("greeter.get", {"word": word})

    def here(self, word: str) -> Awaitable[str]:
        """Calls the node's own service."""
        return self.broker.call("here.get", {"word": word})

    async def local(self, seconds: float) -> Figures:
        """Calls within the node."""
        return await batched_async(self.here, "mundo! 0123456789", seconds)

    async def close(self) -> None:
        """Leaves the mesh."""
        await self.broker.stop()


async def AsyncClient(address: str) -> LoopClient:
    """Joins the mesh."""
    broker = await node(address, "client", "here")
    await broker.wait_for_services(["greeter"], timeout=PATIENCE)
    return LoopClient(broker)
