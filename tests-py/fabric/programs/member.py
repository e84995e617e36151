"""A server of a clique as a program of its own: `member.py URI SETTINGS`.

What happens to it is a line of JSON on standard output; what it shall do is a line of JSON on standard input. It ends
in good order with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from typing import Any

from ironbridge.fabric import AbstractServiceApi, AmqBrokerConnector, action, current_call

URI, SETTINGS = sys.argv[1], json.loads(sys.argv[2])
NAME = SETTINGS["name"]


def say(event: str, **fields: Any) -> None:
    """One line, from any thread."""
    sys.stdout.write(json.dumps({"event": event, **fields}, default=repr) + "\n")
    sys.stdout.flush()


class Held:
    """Calls that wait until they are released, by their tags; plain and `async` ones."""

    def __init__(self) -> None:
        self._all = False
        self._let: set[str] = set()
        self._news = threading.Condition()

    def release(self, tag: str | None) -> None:
        """Lets this call go on, or all that there are and ever will be."""
        with self._news:
            self._all |= tag is None
            self._let.add(tag or "")
            self._news.notify_all()

    def wait(self, tag: str) -> None:
        """For plain methods: until this call is released."""
        with self._news:
            self._news.wait_for(lambda: self._all or tag in self._let)

    async def until(self, tag: str) -> None:
        """For `async` ones."""
        while not self._all and tag not in self._let:  # noqa: ASYNC110 - released from another thread
            await asyncio.sleep(0.01)


held = Held()


def begun(tag: Any) -> None:
    """Tells that a call runs here."""
    call = current_call()
    assert call is not None
    say("begun", method=call.method, tag=tag, redelivered=call.redelivered)


class Api(AbstractServiceApi):
    """What it serves."""

    async def hold(self, tag: str) -> str:
        begun(tag)
        await held.until(tag)
        return str(NAME)

    def hold_plain(self, tag: str) -> str:
        begun(tag)
        held.wait(tag)
        return str(NAME)

    @action(redeliver=False)
    async def once(self, tag: str) -> str:
        begun(tag)
        await held.until(tag)
        return str(NAME)

    @action(redeliver=False)
    def once_plain(self, tag: str) -> str:
        begun(tag)
        held.wait(tag)
        return str(NAME)

    async def block(self, tag: str) -> str:
        """Holds the loop itself."""
        begun(tag)
        held.wait(tag)
        return str(NAME)

    async def nap(self, number: int, seconds: float) -> list[Any]:
        await asyncio.sleep(seconds)
        return [number, NAME]

    def nap_plain(self, number: int, seconds: float) -> list[Any]:
        time.sleep(seconds)
        return [number, NAME]

    async def quick(self, number: int) -> list[Any]:
        return [number, NAME]

    def quick_plain(self, number: int) -> list[Any]:
        return [number, NAME]


async def main() -> None:
    """Serves beside its commands."""
    connector = AmqBrokerConnector(
        URI,
        *SETTINGS["identity"],
        on_state=lambda state: say("state", state=state),
        on_error=lambda error, place: say("trouble", text=str(error), place=place),
        **SETTINGS["options"],
    )
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def listen() -> None:
        """On a thread, so that a loop that stands still can be released."""
        for line in sys.stdin:
            command, *arguments = json.loads(line)
            if command == "release":
                held.release(*arguments)
            elif command == "stats":
                say("stats", **connector.stats())
            elif command == "leave":
                loop.call_soon_threadsafe(ended.set)
        loop.call_soon_threadsafe(ended.set)

    async with connector:
        await connector.rpc_register(Api())
        threading.Thread(target=listen, daemon=True).start()
        say("up")
        await ended.wait()
        await connector.close(SETTINGS.get("grace", 10.0))
    say("ended")


if SETTINGS.get("uvloop"):
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
