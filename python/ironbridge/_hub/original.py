"""`aiofase`, for programs that import it: our classes where its own differ in what a program can see.

In its modules `aiofase`, `aiofase.microservice` and `aiofase.server`, by `ironbridge.compat`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from ..errors import ConfigurationError, ServiceAlreadyExists
from .microservice import MicroService as _MicroService
from .server import Server as _Server

__all__ = ["MicroService", "Server", "microservice", "server"]

# A request without a timeout waits for its answer for as long as the original's does; ours has to end.
_FOREVER = 86_400.0

# Seconds after which a hub that is not needed looks whether it is.
_AGAIN = 0.25


class MicroService(_MicroService):
    """A service whose `request_action` gives its answer, as since aiofase 0.4."""

    def __init__(
        self,
        service: object,
        sender_endpoint: str,
        receiver_endpoint: str,
        serializer: object = None,
        debug: bool = False,
        enable_heartbeat: bool = True,
        heartbeat_interval: float = 5,
        heartbeat_timeout: float | None = None,
        curve_secretkey_file: str | None = None,
        server_publickey_file: str | None = None,
    ) -> None:
        """The heartbeat's options are taken and change nothing: ours is always on, and counts beats."""
        _refuse_curve(curve_secretkey_file, server_publickey_file)
        super().__init__(service, sender_endpoint, receiver_endpoint, serializer, debug)

    def request_action(  # type: ignore[override]
        self, action: str, data: Any = None, timeout: float | None = None
    ) -> asyncio.Future[Any]:
        """Sends the request whether or not what is returned is awaited; awaited, it gives the answer."""
        answer = asyncio.ensure_future(self.call(action, data, _FOREVER if timeout is None else timeout))
        answer.add_done_callback(_seen)
        return answer

    def close(self) -> None:
        """Ends the service."""
        self.stop()


class Server(_Server):
    """The hub; where there is one, it stands by."""

    def __init__(
        self,
        sender_endpoint: str,
        receiver_endpoint: str,
        debug: bool = False,
        curve_secretkey_file: str | None = None,
        authorized_clients_dir: str | None = None,
    ) -> None:
        _refuse_curve(curve_secretkey_file, authorized_clients_dir)
        super().__init__(sender_endpoint, receiver_endpoint, debug)

    async def _start(self) -> None:
        # A program starts its hub and its services in any order, and a service may have been the hub already.
        while self._told is not None and not self._told.is_set():
            try:
                return await super()._start()
            except ServiceAlreadyExists as there:
                self._log.info("standing by: %s", there)
            try:
                async with asyncio.timeout(_AGAIN):
                    await self._told.wait()
            except TimeoutError:
                pass

    def close(self) -> None:
        """Ends the hub."""
        self.stop()


def main() -> None:
    """`python -m aiofase.server`: a hub, with the original's options."""
    from argparse import ArgumentParser

    parser = ArgumentParser(prog="aiofase.server")
    parser.add_argument("-sender", "--sender-endpoint", default="tcp://0.0.0.0:3000")
    parser.add_argument("-receiver", "--receiver-endpoint", default="tcp://0.0.0.0:4000")
    parser.add_argument("-d", "--debug", action="store_true")
    parser.add_argument("--curve-secretkey-file")
    parser.add_argument("--authorized-clients-dir")
    asyncio.run(Server(**vars(parser.parse_args())).run())


def _seen(answer: asyncio.Future[Any]) -> None:
    # A request whose answer nobody awaits may fail without a word.
    if not answer.cancelled():
        answer.exception()


def _refuse_curve(*given: object) -> None:
    if any(one is not None for one in given):
        raise ConfigurationError(
            "CURVE keys are not spoken here; a hub and its services can share a secret: "
            "from ironbridge.hub import MicroService, Server, and secret=..."
        )


# `aiofase` is a package, and both its modules are this one.
__path__: list[str] = []
microservice = server = sys.modules[__name__]
