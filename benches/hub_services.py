"""Services around a hub, written once for every library: what is compared differs in the import, and in nothing else.

`hub_services.py LIBRARY PART SENDER RECEIVER [NUMBER]` runs one part in a process of its own.
"""

import asyncio
import importlib
import sys
from typing import Any

LISTENERS = 10
CROWD = 98
ACKNOWLEDGED = 250
"""A listener says how far it is once in so many messages."""


def quiet_logs() -> None:
    """The original's hub prints a line for each message; here it does not, which makes it faster."""
    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(40), logger_factory=structlog.PrintLoggerFactory(sys.stderr)
    )


def module(library: str, part: str) -> Any:
    """`aiofase` keeps its parts in modules of their own; ours are in one."""
    if library != "aiofase":
        return importlib.import_module(library)
    quiet_logs()
    return importlib.import_module(f"aiofase.{part}")


async def request(service: Any, action: str, data: Any) -> None:
    """Sends a request; the original sends at once, and awaiting what it returns would wait for an answer."""
    sending = service.request_action(action, data)
    if asyncio.iscoroutine(sending):
        await sending


def greeter(base: Any, sender: str, receiver: str) -> Any:
    """Answers each request with a response, or with what its action returns."""

    class Greeter(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(self, sender_endpoint=sender, receiver_endpoint=receiver)

        @base.action  # type: ignore[untyped-decorator]
        async def greet(self, service: str, data: Any) -> None:
            await self.response(service, f"Olá, {data}")

        @base.action  # type: ignore[untyped-decorator]
        async def greeting(self, service: str, data: Any) -> str:
            return f"Olá, {data}"

    return Greeter()


def listener(base: Any, sender: str, receiver: str, name: str) -> Any:
    """Counts the broadcasts it gets; `None` asks it who it is."""

    class Listener(base):  # type: ignore[misc]
        def __init__(self) -> None:
            self.heard = 0
            super().__init__(self, sender_endpoint=sender, receiver_endpoint=receiver)

        async def on_broadcast(self, service: str, data: Any) -> None:
            if data is None:
                self.heard = 0
                await self.response(service, 0)
                return
            self.heard += 1
            if self.heard % ACKNOWLEDGED == 0:
                await self.response(service, self.heard)

    Listener.__name__ = name
    return Listener()


def sink(base: Any, sender: str, receiver: str) -> Any:
    """The one service that wants the noise: it answers each message."""

    class Sink(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(self, sender_endpoint=sender, receiver_endpoint=receiver)

        async def on_response(self, service: str, data: Any) -> None:
            await self.response(service, data)

    return Sink()


async def run(library: str, part: str, sender: str, receiver: str, number: str = "") -> None:
    """Runs until killed."""
    if part == "hub":
        server = module(library, "server").Server(sender_endpoint=sender, receiver_endpoint=receiver)
        await server.run()
        return
    base = module(library, "microservice").MicroService
    if part == "greeter":
        services = [greeter(base, sender, receiver)]
    elif part == "listener":
        services = [listener(base, sender, receiver, f"Listener{number}")]
    elif part == "sink":
        services = [sink(base, sender, receiver)]
    else:
        services = [listener(base, sender, receiver, f"Bystander{index}") for index in range(CROWD)]
    await asyncio.gather(*(service.run() for service in services))


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
