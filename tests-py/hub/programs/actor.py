"""A service as a program of its own: `actor.py LIBRARY SETTINGS`, with LIBRARY `ironbridge.hub` or `aiofase`.

What happens to it is a line of JSON on standard output. What it shall do is a line of JSON on standard input: a method
of the service with its arguments, or one of `Actor`'s own commands. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import json
import logging
import os
import sys
import time
from collections import Counter
from typing import Any

LIBRARY, SETTINGS = sys.argv[1], json.loads(sys.argv[2])
Base: Any = importlib.import_module(LIBRARY).MicroService

counted: Counter[str] = Counter()
heard: dict[str, list[Any]] = {}


def say(event: str, **fields: Any) -> None:
    """One line; a program told to be quiet only counts."""
    counted[event] += 1
    if event in SETTINGS.get("collect", ()):
        heard.setdefault(event, []).append(fields.get("data"))
    if event not in SETTINGS.get("quiet", ()):
        print(json.dumps({"event": event, **fields}, default=repr), flush=True)


class Armoured:
    """A serializer that no other kind of service can read."""

    @staticmethod
    def dumps(value: Any) -> str:
        return base64.b64encode(json.dumps(value).encode()).decode()

    @staticmethod
    def loads(text: str | bytes) -> Any:
        return json.loads(base64.b64decode(text))


class Hooks:
    """Every hook there is, each telling that it was called, and on which object."""

    mine = "my own"

    async def on_connect(self) -> None:
        say("connect", mine=self.mine)

    async def on_new_service(self, service: str, actions: list[str]) -> None:
        say("new_service", service=service, actions=sorted(actions))

    async def on_broadcast(self, service: str, data: Any) -> None:
        say("broadcast", service=service, data=data)

    async def on_response(self, service: str, data: Any) -> None:
        say("response", service=service, data=data)

    async def on_service_lost(self, service: str, instance: str) -> None:
        say("lost", service=service, instance=instance)

    async def on_service_disconnect(self, service: str) -> None:
        say("lost", service=service)

    async def on_error(self, error: BaseException, where: str) -> None:
        say("error", kind=type(error).__name__, text=str(error), where=where)

    async def on_state(self, state: str) -> None:
        say("state", state=state)


class Unheard(Exception):
    """A class that nobody else has."""


def action(name: str, body: Any) -> Any:
    """One that tells of itself and does what `body` does, known to the library by its name."""

    async def run(self: Any, service: str, data: Any) -> Any:
        say(name, service=service, data=data, mine=self.mine)
        return await body(self, service, data)

    run.__name__ = run.__qualname__ = name
    return Base.action(run)


async def mirror(self: Any, service: str, data: Any) -> Any:
    return data


async def reply(self: Any, service: str, data: Any) -> None:
    await self.response(service, data)


async def fail(self: Any, service: str, data: Any) -> None:
    raise ValueError(data)


async def unheard(self: Any, service: str, data: Any) -> None:
    raise Unheard(data)


async def impossible(self: Any, service: str, data: Any) -> Any:
    return object()


async def hold(self: Any, service: str, data: Any) -> Any:
    try:
        await asyncio.sleep(data if isinstance(data, (int, float)) else 3600)
    except asyncio.CancelledError:
        say("cancelled", data=data)
        raise
    say("held", data=data)
    return data


async def block(self: Any, service: str, data: Any) -> Any:
    """Holds the loop itself."""
    time.sleep(data)  # noqa: ASYNC251 - what it is for
    return data


BODIES = {
    "mirror": mirror,
    "reply": reply,
    "fail": fail,
    "unheard": unheard,
    "impossible": impossible,
    "hold": hold,
    "block": block,
}


def service_class() -> tuple[type, bool]:
    """The class to serve, and whether it is composed."""
    name = SETTINGS["name"]
    composed = SETTINGS.get("composed", False)
    prefix = SETTINGS.get("prefix", f"{name.lower()}_")
    members: dict[str, Any] = {prefix + kind: action(prefix + kind, body) for kind, body in BODIES.items()}
    for spelt in SETTINGS.get("actions", ()):
        marked = action(f"odd_{len(members)}", mirror)
        members[f"odd_{len(members)}"] = Base.action(name=spelt)(marked) if LIBRARY != "aiofase" else marked
    return type(name, (Hooks,) if composed else (Hooks, Base), members), composed


def service() -> Any:
    """The service of the settings."""
    kind, composed = service_class()
    options: dict[str, Any] = {
        "sender_endpoint": SETTINGS["sender"],
        "receiver_endpoint": SETTINGS["receiver"],
        "serializer": Armoured if SETTINGS.get("serializer") == "armoured" else SETTINGS.get("serializer"),
        **SETTINGS.get("options", {}),
    }
    if composed:
        return Base(service=kind(), **options)
    made: Any = object.__new__(kind)
    Base.__init__(made, made, **options)
    return made


class Actor:
    """Carries out what standard input says."""

    def __init__(self, served: Any) -> None:
        self.service = served

    async def obey(self, command: dict[str, Any]) -> None:
        """Does one command and tells how it went."""
        number = command["number"]
        try:
            method = getattr(self, command["do"], None) or getattr(self.service, command["do"])
            result = method(*command["args"], **command["kwargs"])
            if command["wait"] and (asyncio.iscoroutine(result) or asyncio.isfuture(result)):
                result = await result
            elif asyncio.iscoroutine(result):
                await result
            if not command["wait"]:
                result = None
            say("done", number=number, result=result)
        except Exception as error:
            kinds = [kind.__name__ for kind in type(error).__mro__]
            facts = {name: repr(value) for name, value in vars(error).items()}
            say("done", number=number, failed=kinds, text=str(error), facts=facts)

    async def flood(
        self, method: str, to: str | None, first: int, count: int, padding: int = 0, pause: float = 0
    ) -> dict[str, int]:
        """Sends so many numbered messages, a pause after each fifty; how many were taken, and how many refused."""
        taken = refused = 0
        send = getattr(self.service, method)
        for number in range(first, first + count):
            data = {"n": number, "p": "x" * padding} if padding else number
            try:
                sent = send(data) if to is None else send(to, data)
                if asyncio.iscoroutine(sent):
                    await sent
                taken += 1
            except Exception:
                refused += 1
            if number % 50 == 0:
                await asyncio.sleep(pause)
        return {"taken": taken, "refused": refused}

    async def calls(self, name: str, count: int, timeout: float) -> dict[str, int]:
        """So many calls at once; how they ended."""
        taken = await asyncio.gather(
            *(self.service.call(name, number, timeout=timeout) for number in range(count)), return_exceptions=True
        )
        right = sum(answer == number for number, answer in enumerate(taken))
        failed = Counter(type(answer).__name__ for answer in taken if isinstance(answer, BaseException))
        return {"right": right, **failed}

    async def abandon(self, name: str, data: Any, after: float) -> str:
        """A call that is cancelled."""
        call = asyncio.ensure_future(self.service.call(name, data, timeout=60))
        await asyncio.sleep(after)
        call.cancel()
        try:
            await call
        except asyncio.CancelledError:
            return "cancelled"
        return "answered"

    def counts(self) -> dict[str, int]:
        """How often each thing happened."""
        return dict(counted)

    def collected(self, event: str) -> list[Any]:
        """The data of every event of a kind that is collected."""
        return heard.get(event, [])

    def freeze(self, seconds: float) -> None:
        """The loop does nothing for that long."""
        time.sleep(seconds)

    def leave(self) -> None:
        """The process is over at once, without a word to anybody."""
        os._exit(0)

    def memory(self) -> int:
        """Resident bytes."""
        with open("/proc/self/statm") as numbers:
            return int(numbers.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def name(self) -> str:
        """The service's name."""
        return str(self.service.name)

    def names(self) -> list[str]:
        """Of its actions."""
        return sorted(self.service.actions)


async def main() -> None:
    """Runs the service beside its commands."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    actor = Actor(service())
    serving = asyncio.create_task(actor.service.run())
    lines = asyncio.StreamReader(limit=1 << 27)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    under_way: set[asyncio.Task[None]] = set()
    say("up", pid=os.getpid())

    async def listen() -> None:
        async for line in lines:
            command = asyncio.create_task(actor.obey(json.loads(line)))
            under_way.add(command)
            command.add_done_callback(under_way.discard)

    listening = asyncio.create_task(listen())
    await asyncio.wait([serving, listening], return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        if LIBRARY == "aiofase":
            serving.cancel()
        else:
            await actor.service.stop()
    listening.cancel()
    failed = (await asyncio.gather(serving, return_exceptions=True))[0]
    print(json.dumps({"event": "ended", "failed": repr(failed) if failed else None, "counts": counted}), flush=True)
    if LIBRARY == "aiofase":
        os._exit(0)


if SETTINGS.get("uvloop"):
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
