"""A service as a program of its own: `actor.py LIBRARY SETTINGS`, with LIBRARY `ironbridge.fabric`, `amqp_fabric` or
`aio_pika` (its pattern `JsonRPC`).

What happens to it is a line of JSON on standard output. What it shall do is a line of JSON on standard input: one of
the methods below with its arguments. Values stand in both as Python writes them. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import datetime
import importlib
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

LIBRARY, SETTINGS = sys.argv[1], json.loads(sys.argv[2])
NAMES = {"nan": float("nan"), "inf": float("inf"), "datetime": datetime, "Decimal": Decimal}
IDENTITY = SETTINGS["domain"], SETTINGS["id"], SETTINGS["type"]

released = asyncio.Event()


def say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}, default=repr), flush=True)


class Known(Exception):
    """A class that every actor has."""


KINDS: dict[str, Callable[..., BaseException]] = {
    "Known": Known,
    "Unheard": type("Unheard", (Exception,), {"__module__": "elsewhere"}),  # nobody can look it up
    "JSONDecodeError": json.JSONDecodeError,
    "TimeoutError": asyncio.TimeoutError,
}


class Api:
    """What each of the services can be asked."""

    def multiply(self, x: Any, y: Any = 2) -> Any:
        return x * y

    async def add(self, x: Any, y: Any = 10) -> Any:
        await asyncio.sleep(0)
        return x + y

    def echo(self, value: Any = None) -> Any:
        return value

    async def aecho(self, value: Any = None) -> Any:
        return value

    def give(self, text: str) -> Any:
        """What this is, as Python writes it."""
        return eval(text, dict(NAMES))

    def fail(self, kind: str, given: list[Any]) -> Any:
        builtin: Any = getattr(__builtins__, kind, None)
        raise KINDS.get(kind, builtin)(*given)

    async def afail(self, kind: str, given: list[Any]) -> Any:
        await asyncio.sleep(0)
        return self.fail(kind, given)

    async def hold(self, seconds: float = 60.0) -> str:
        """Waits until it is released."""
        say("holding")
        try:
            await asyncio.wait_for(released.wait(), seconds)
        except TimeoutError:
            say("held")
        return f"{SETTINGS['name']} held"

    async def who(self) -> str:
        return str(SETTINGS["name"])


class Connector:
    """Ours, or the original's: they are used alike."""

    def __init__(self) -> None:
        modules = "amq_broker_connector", "abstract_service_api", "logging_amqp_handler"
        found: list[Any] = [importlib.import_module(f"{LIBRARY}.{module}") for module in modules]
        broker, api, self._logs = found
        if SETTINGS["codec"] == "gzip" and LIBRARY == "amqp_fabric":
            broker.CustomJsonRPC = broker.JsonGZipRPC
        options = {"codec": SETTINGS["codec"]} if LIBRARY == "ironbridge.fabric" else {}
        self._amq: Any = broker.AmqBrokerConnector(
            amqp_uri=SETTINGS["uri"],
            service_domain=SETTINGS["domain"],
            service_type=SETTINGS["type"],
            service_id=SETTINGS["id"],
            keep_alive_seconds=SETTINGS["keep_alive"],
            keep_alive_listen=True,
            **options,
            **SETTINGS["options"],
        )
        self._api: Any = type("Api", (Api, api.AbstractServiceApi), {})()
        self.close = self._amq.close

    async def open(self) -> None:
        await self._amq.open(timeout=10)

    async def serve(self) -> None:
        await self._amq.rpc_register(self._api)

    async def call(self, service: tuple[str, str, str], method: str, given: Any, expiration: None = None) -> Any:
        proxy = await self._amq.rpc_proxy(*service)
        return await getattr(proxy, method)(**given)

    def services(self, *of: str, **options: Any) -> Any:
        return self._amq.list_services(*of, **options)

    def keep_alives(self) -> None:
        async def heard(headers: dict[str, Any]) -> None:
            say("keep_alive", headers=headers)

        self._amq.subscribe_service_keepalives("watcher", heard)

    async def publish(self, data: bytes, headers: dict[str, Any]) -> None:
        published = self._amq.publish_data(data, headers)
        if published is not None:
            await published

    async def subscribe(self, name: str, headers: dict[str, Any], **options: Any) -> None:
        async def taken(message: Any) -> None:
            async with message.process():
                say("data", name=name, body=repr(message.body), headers=repr(dict(message.headers)))

        await self._amq.subscribe_data(name, headers, taken, **options)

    async def log(self, level: int, text: str, *given: Any) -> None:
        logger = logging.getLogger("fabric")
        if not logger.handlers:
            handler = self._logs.AmqpHandler()
            await self._amq.init_logging_handler(handler)
            logger.addHandler(handler)
            logger.setLevel(1)
        logger.log(level, text, *given)

    async def follow_logs(self, **options: Any) -> None:
        async def record(message: Any) -> None:
            say("record", text=message.json(), headers=message.headers)

        await self._amq.follow_logs(record, **options)


class Pattern:
    """`aio_pika.patterns.JsonRPC`, at the exchanges of services."""

    def __init__(self) -> None:
        if SETTINGS["codec"] == "gzip":
            self._class: Any = importlib.import_module("amqp_fabric.amq_broker_connector").JsonGZipRPC
        else:
            self._class = importlib.import_module("aio_pika.patterns").JsonRPC
        self._at: dict[tuple[str, str, str], Any] = {}

    async def open(self) -> None:
        self._connection = await importlib.import_module("aio_pika").connect_robust(SETTINGS["uri"])
        self.close = self._connection.close

    async def _pattern(self, service: tuple[str, str, str]) -> Any:
        if service not in self._at:
            domain, of, kind = service
            channel = await self._connection.channel()
            self._at[service] = await self._class.create(channel, exchange=f"{domain}.api.{kind}.{of}")
        return self._at[service]

    async def serve(self) -> None:
        pattern = await self._pattern(IDENTITY)
        api = Api()

        def registered(method: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
            async def run(**given: Any) -> Any:
                result = method(**given)
                return await result if asyncio.iscoroutine(result) else result

            return run

        async def health_check() -> bool:
            return True

        for name in sorted(vars(Api)):
            if not name.startswith("_"):
                await pattern.register(name, registered(getattr(api, name)), auto_delete=True)
        await pattern.register("health_check", health_check, auto_delete=True)

    async def call(self, service: tuple[str, str, str], method: str, given: Any, expiration: Any = None) -> Any:
        pattern = await self._pattern(service)
        if expiration is not None:
            return await pattern.call(method, given, expiration=expiration)
        return await getattr(pattern.proxy, method)(**given)


class Actor:
    """Carries out what standard input says."""

    def __init__(self, service: Connector | Pattern) -> None:
        self.service = service

    async def calls(self, service: tuple[str, str, str], method: str, given: list[Any]) -> list[Any]:
        """As many at once as there are arguments."""
        return await asyncio.gather(*(self.service.call(service, method, one) for one in given))

    def release(self) -> None:
        released.set()

    async def obey(self, command: dict[str, Any]) -> None:
        """Does one command and tells how it went."""
        number = command["number"]
        try:
            method = getattr(self, command["do"], None) or getattr(self.service, command["do"])
            args, kwargs = eval(command["given"], dict(NAMES))
            result = method(*args, **kwargs)
            if asyncio.iscoroutine(result):
                result = await result
            say("done", number=number, result=repr(result))
        except Exception as error:
            kinds = [f"{kind.__module__}.{kind.__name__}".removeprefix("builtins.") for kind in type(error).__mro__]
            facts = {name: repr(value) for name, value in vars(error).items()}
            say("done", number=number, failed=kinds, text=str(error), args=repr(error.args), facts=facts)


async def main() -> None:
    """Runs the service beside its commands."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    service = Pattern() if LIBRARY == "aio_pika" else Connector()
    actor = Actor(service)
    lines = asyncio.StreamReader(limit=1 << 27)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    await service.open()
    if SETTINGS["serve"]:
        await service.serve()
    under_way: set[asyncio.Task[None]] = set()
    say("up", pid=os.getpid())
    async for line in lines:
        command = asyncio.create_task(actor.obey(json.loads(line)))
        under_way.add(command)
        command.add_done_callback(under_way.discard)
    await service.close()
    say("ended")
    sys.stdout.flush()
    # What the originals leave behind is not waited for.
    os._exit(0)


asyncio.run(main())
