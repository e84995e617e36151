"""A process that plays one contender: `agent.py PEER server ADDRESS` or `agent.py PEER client ADDRESS`.

A server says `ready` on standard output and ends when its standard input closes. A client reads one JSON
command a line (`{"measure": …, "seconds": …}`) and answers each with one line of figures, or of its error.
"""

import asyncio
import importlib
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from typing import cast

import timing
from contract import AsyncClient, Client, Figures, Measure, Peer

WORD = "mundo! 0123456789"
MEBIBYTE = bytes(range(256)) * 4096
CALLERS = 16
WIDTH = 100


def serve(peer: Peer, address: str) -> None:
    """Serves until the starter closes the pipe."""

    def watch() -> None:
        sys.stdin.read()
        getattr(peer, "stop", lambda: None)()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    peer.serve(address, lambda: print("ready", flush=True))


class Measures:
    """One contender's client side; connections stay open from one command to the next."""

    def __init__(self, peer: Peer, address: str) -> None:
        self.peer, self.address = peer, address
        self.clients: list[Client] = []
        self.loops: dict[str, tuple[asyncio.Runner, AsyncClient]] = {}

    def run(self, measure: str, seconds: float) -> Figures:
        """Takes one measure, by name."""
        if extra := self.peer.EXTRA.get(measure):
            return extra(self.address, seconds)
        kind, _, loop = measure.partition("-")
        if loop:
            return self.on_loop(loop, kind, seconds)
        client = self.some(1)[0]
        if kind == "get":
            return timing.sequential(client.get, WORD, seconds)
        if kind == "echo":
            return timing.sequential(client.echo, MEBIBYTE, seconds)
        if kind == "threads":
            clients = [client] * CALLERS if self.peer.SHARED else self.some(CALLERS)
            return timing.threads([one.get for one in clients], WORD, seconds)
        raise ValueError(f"no measure {measure!r}")

    def some(self, count: int) -> list[Client]:
        """That many clients, connecting those still missing."""
        while len(self.clients) < count:
            self.clients.append(self.peer.Client(self.address))
        return self.clients[:count]

    def on_loop(self, name: str, kind: str, seconds: float) -> Figures:
        """The asynchronous measures, on a loop of the kind named."""
        if name not in self.loops:
            runner = asyncio.Runner(loop_factory=loop_factory(name))
            self.loops[name] = runner, runner.run(self.peer.AsyncClient(self.address))
        runner, client = self.loops[name]
        return runner.run(timed(client, kind, seconds))

    def close(self) -> None:
        """Lets every connection go."""
        for client in self.clients:
            client.close()
        for runner, looped in self.loops.values():
            runner.run(looped.close())
            runner.close()


async def timed(client: AsyncClient, kind: str, seconds: float) -> Figures:
    """One measure of an asynchronous client: of its calls, or one of its own."""
    if kind == "get":
        return await timing.sequential_async(client.get, WORD, seconds)
    if kind == "inflight":
        return await timing.in_flight(client.get, WORD, WIDTH, seconds)
    own: Mapping[str, Measure] = getattr(client, "measures", {})
    if kind not in own:
        raise ValueError(f"no measure {kind!r}")
    return await own[kind](seconds)


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """`asyncio` or `uvloop`."""
    if name == "asyncio":
        return asyncio.new_event_loop
    import uvloop

    return cast("Callable[[], asyncio.AbstractEventLoop]", uvloop.new_event_loop)


def answer(peer: Peer, address: str) -> None:
    """Takes the measures asked for, one at a time."""
    measures = Measures(peer, address)
    for line in sys.stdin:
        command = json.loads(line)
        try:
            reply: dict[str, object] = {"figures": measures.run(command["measure"], command["seconds"])}
        except Exception as error:  # the starter reports it with the contender's name
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)
    measures.close()


def main() -> None:
    """Plays the part named on the command line."""
    name, part, address = sys.argv[1:]
    peer = cast("Peer", importlib.import_module(f"peers.{name}"))
    if part == "server":
        serve(peer, address)
    else:
        answer(peer, address)


if __name__ == "__main__":
    main()
