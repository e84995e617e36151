"""A server and a caller that use all there is: calls, data, keep-alives and log records."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import re
from types import TracebackType
from typing import Any, Self

from ironbridge.errors import IronbridgeError
from ironbridge.fabric import AbstractServiceApi, AmqpHandler, IncomingMessage, current_call

from fabric.clique import PATIENCE, caller, eventually, served, server


class Api(AbstractServiceApi):
    """What the server serves. `held` calls wait until they are let go."""

    def __init__(self) -> None:
        self.held: list[str] = []
        self.let = asyncio.Event()

    async def hold(self, tag: str) -> list[Any]:
        self.held.append(tag)
        await self.let.wait()
        call = current_call()
        assert call is not None
        return [tag, call.redelivered]

    async def mirror(self, value: Any) -> Any:
        return value

    def mirror_plain(self, value: Any) -> Any:
        return value


class Whole:
    """Both, in this process, on one event loop."""

    def __init__(self, uri: str, *, server_uri: str | None = None, **options: Any) -> None:
        self.states: list[str] = []
        self.server_states: list[str] = []
        self.troubles: list[str] = []
        self.api = Api()
        options = {"heartbeat": 1, "keep_alive_seconds": 0.2, "discovery_cache_ttl": 2, **options}
        options["options"] = {"backoff_most": 0.2, **options.get("options", {})}
        self.caller = caller(uri, on_state=self.states.append, on_error=self._told, **options)
        self.server = server(server_uri or uri, on_state=self.server_states.append, on_error=self._told, **options)
        # One that stands alone: nobody else keeps its records.
        self._logger = logging.Logger("tests.whole")
        self._numbers = itertools.count()
        self.data: list[int] = []
        self.records: list[str] = []
        self.heard = 0

    def _told(self, error: BaseException, place: str) -> None:
        self.troubles.append(f"{place}: {error}")

    async def __aenter__(self) -> Self:
        await asyncio.gather(self.server.open(), self.caller.open())
        await self.server.rpc_register(self.api)
        self.service = await served(self.caller)
        handler = AmqpHandler()
        self._logger.addHandler(handler)
        await self.server.init_logging_handler(handler)
        await self.caller.subscribe_data("whole", {"kind": "whole"}, self._data)
        await self.caller.follow_logs(self._record)
        await self.caller.subscribe_service_keepalives("whole", self._keep_alive, service_type="actor")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handler in list(self._logger.handlers):
            self._logger.removeHandler(handler)
        self.api.let.set()
        await asyncio.gather(self.caller.close(), self.server.close())

    async def _data(self, message: IncomingMessage) -> None:
        self.data.append(int(message.body))

    async def _record(self, message: IncomingMessage) -> None:
        self.records.append(json.loads(message.body))

    def _keep_alive(self, headers: dict[str, Any]) -> None:
        self.heard += 1

    async def works(self) -> None:
        """Waits until all of it works: what is lost on the way is tried again, as a user would."""
        await asyncio.wait_for(asyncio.gather(self._answers(), self._flows(), self._is_logged()), PATIENCE)
        heard = self.heard
        await eventually(lambda: self.heard > heard, what="a keep-alive")
        await eventually(lambda: self.caller.list_services(service_type="actor"), what="the server is listed")
        await eventually(lambda: self.server.list_services(service_type="audience"), what="the caller is listed")

    async def _answers(self) -> None:
        for method in ("mirror", "mirror_plain"):
            while True:
                number = next(self._numbers)
                try:
                    assert await getattr(self.service.with_options(timeout=5), method)(value=number) == number
                    break
                except IronbridgeError:
                    await asyncio.sleep(0.05)

    async def _flows(self) -> None:
        number = next(self._numbers)
        while number not in self.data:
            await self.server.publish_data(str(number).encode(), {"kind": "whole"})
            await asyncio.sleep(0.02)

    async def _is_logged(self) -> None:
        text = f"record {next(self._numbers)}"
        while text not in self.records:
            self._logger.warning(text)
            await asyncio.sleep(0.02)

    async def lost(self) -> None:
        """Waits until both have said that their connection is lost."""
        await eventually(lambda: "lost" in self.states and "lost" in self.server_states, what="both lost")


def in_order(states: list[str]) -> bool:
    """Whether a connector can have gone through these: connecting, connected, lost, connecting…"""
    return bool(
        re.fullmatch(r"(connecting (connected )?lost )*connecting connected( lost connecting)?", " ".join(states))
    )
