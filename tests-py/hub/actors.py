"""Services and hubs as programs, as tests speak of them."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness import Told, wait_until
from harness.net import dial
from harness.told import PATIENCE as PATIENCE

PROGRAMS = Path(__file__).with_name("programs")
Library = Literal["ironbridge.hub", "aiofase"]
Kind = Literal["ours", "original", "pyzmq"]
OURS: Library = "ironbridge.hub"
ORIGINAL: Library = "aiofase"


@dataclass(frozen=True)
class Endpoints:
    """Where services and a hub meet."""

    sender: str
    receiver: str

    def listened(self) -> bool:
        """Whether somebody accepts at both."""
        for endpoint in (self.sender, self.receiver):
            kind, _, place = endpoint.partition("://")
            host, _, port = place.rpartition(":")
            try:
                dial(place if kind == "ipc" else (host, int(port)), 1.0).close()
            except OSError:
                return False
        return True


class Hub(Told):
    """A hub in a process of its own; it listens when the constructor returns."""

    def __init__(self, kind: Kind, at: Endpoints, secret: str | None = None) -> None:
        self.kind, self.at = kind, at
        words: dict[Kind, list[str]] = {
            "ours": [str(PROGRAMS / "server.py"), at.sender, at.receiver, *([secret] if secret else [])],
            "original": ["-m", "aiofase.server", "-sender", at.sender, "-receiver", at.receiver],
            "pyzmq": [str(PROGRAMS / "forwarder.py"), at.sender, at.receiver],
        }
        super().__init__([sys.executable, "-u", *words[kind]])
        try:
            wait_until(lambda: self.returncode is not None or at.listened(), PATIENCE, f"a hub ({kind}) at {at}")
            assert self.returncode is None, self.output
        except BaseException:
            self.close()
            raise

    def stats(self) -> dict[str, Any]:
        """What our hub counts."""
        had = len(self.events("stats"))
        self.say("stats")
        return self.wait("stats", count=had + 1)


class Failed(Exception):
    """What a service's method raised; `kinds` are the names of its classes."""

    def __init__(self, kinds: list[str], text: str, facts: dict[str, str]) -> None:
        super().__init__(f"{kinds[0]}: {text}")
        self.kinds, self.text, self.facts = kinds, text, facts


class Service(Told):
    """A service in a process of its own (`programs/actor.py`)."""

    def __init__(self, library: Library, name: str, at: Endpoints, **settings: Any) -> None:
        self.library, self.name, self.at = library, name, at
        settings = {"name": name, "sender": at.sender, "receiver": at.receiver, **settings}
        self._numbers = itertools.count()
        super().__init__([sys.executable, "-u", PROGRAMS / "actor.py", library, json.dumps(settings)])

    @property
    def is_ours(self) -> bool:
        return self.library == OURS

    def begin(self, do: str, *args: Any, wait: bool = True, **kwargs: Any) -> int:
        """Has it do something; the number of the command."""
        number = next(self._numbers)
        self.say(json.dumps({"number": number, "do": do, "args": args, "kwargs": kwargs, "wait": wait}))
        return number

    def result(self, number: int, deadline: float = PATIENCE) -> Any:
        """What came of it, once it is done."""
        done = self.wait("done", deadline, number=number)
        if "failed" in done:
            raise Failed(done["failed"], done["text"], done["facts"])
        return done["result"]

    def do(self, do: str, *args: Any, deadline: float = PATIENCE, **kwargs: Any) -> Any:
        """Has it do something, and waits for what comes of it."""
        return self.result(self.begin(do, *args, **kwargs), deadline)

    def broadcast(self, data: Any) -> None:
        self.do("send_broadcast", data)

    def request(self, action: str, data: Any) -> None:
        """Sends a request without waiting for an answer."""
        self.result(self.begin("request_action", action, data, wait=False))

    def respond(self, service: str, data: Any) -> None:
        self.do("response", service, data)

    def call(self, action: str, data: Any, timeout: float = 10.0, deadline: float = PATIENCE) -> Any:
        """A request whose answer is awaited, in the library's own spelling."""
        method = "call" if self.is_ours else "request_action"
        return self.do(method, action, data, timeout=timeout, deadline=deadline)

    def stop(self) -> None:
        """Ends it in good order, and waits."""
        assert self._process.stdin
        self._process.stdin.close()
        self.wait_exit()


_asked = itertools.count()


def meet(one: Service, other: Service) -> None:
    """Returns when each hears the other: messages sent before that may be lost by originals."""
    action = f"{other.name.lower()}_reply"

    def met() -> bool:
        word = f"are you there, {next(_asked)}?"
        one.request(action, word)
        try:
            one.wait("response", 0.2, service=other.name, data=word)
        except AssertionError:
            return False
        return True

    wait_until(met, PATIENCE, f"{one.name} and {other.name} at one hub")


def connections_of(pid: int) -> int:
    """How many sockets a process has open."""
    listed = subprocess.run(["ls", "-l", f"/proc/{pid}/fd"], capture_output=True, text=True, check=True).stdout
    return listed.count("socket:")


Start = Callable[..., Service]
StartHub = Callable[..., Hub]
