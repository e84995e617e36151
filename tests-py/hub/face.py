"""What the tests of the hub's face share: places for hubs, services that tell what happens to them, waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from harness import free_port
from ironbridge.hub import MicroService

DEADLINE = 10.0


def place(folder: Path, transport: str = "ipc") -> dict[str, Any]:
    """The endpoints of a hub of the test's own, as `MicroService` and `Server` take them."""
    if transport == "ipc":
        return {"sender_endpoint": f"ipc://{folder}/s", "receiver_endpoint": f"ipc://{folder}/r"}
    return {
        "sender_endpoint": f"tcp://127.0.0.1:{free_port()}",
        "receiver_endpoint": f"tcp://127.0.0.1:{free_port()}",
    }


class Told:
    """Things that happen, waited for."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._more = asyncio.Event()

    def __call__(self, *happened: Any) -> None:
        self.all.append(happened[0] if len(happened) == 1 else happened)
        self._more.set()

    async def wait(self, wanted: Any, deadline: float = DEADLINE) -> Any:
        """The first that equals `wanted`, or of which it is true."""
        is_it: Callable[[Any], bool] = wanted if callable(wanted) else lambda one: bool(one == wanted)
        async with asyncio.timeout(deadline):
            while not (found := [one for one in self.all if is_it(one)]):
                self._more.clear()
                await self._more.wait()
        return found[0]


class Listener:
    """A service without actions that tells what it hears."""

    def __init__(self) -> None:
        self.told = Told()

    async def on_connect(self) -> None:
        self.told("connect")

    async def on_new_service(self, service: str, actions: list[str]) -> None:
        self.told("new", service, actions)

    async def on_broadcast(self, service: str, data: Any) -> None:
        self.told("broadcast", service, data)

    def on_response(self, service: str, data: Any) -> None:
        self.told("response", service, data)

    async def on_service_lost(self, service: str) -> None:
        self.told("lost", service)


@asynccontextmanager
async def running(*services: MicroService) -> AsyncIterator[None]:
    """The services at their hub, each known to the others."""
    async with AsyncExitStack() as stack:
        for service in services:
            await asyncio.wait_for(stack.enter_async_context(service), DEADLINE)
        for service in services:
            for other in services:
                if other is not service:
                    await known(service, other.name)
        yield


async def known(service: MicroService, name: str) -> None:
    """Waits until a service knows another."""
    await until(lambda: name in {one["name"] for one in service.services()})


async def until(holds: Callable[[], bool]) -> None:
    """Waits, on the loop, for what has no event to wait on."""
    async with asyncio.timeout(DEADLINE):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
