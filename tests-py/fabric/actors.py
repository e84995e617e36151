"""Services at a broker as programs of their own, ours and the originals', as tests speak of them."""

from __future__ import annotations

import datetime
import itertools
import json
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from harness import Told
from harness.told import PATIENCE

PROGRAMS = Path(__file__).with_name("programs")
Library = Literal["ironbridge.fabric", "amqp_fabric", "aio_pika"]
Codec = Literal["json", "gzip"]
OURS: Library = "ironbridge.fabric"
ORIGINAL: Library = "amqp_fabric"
PATTERN: Library = "aio_pika"
NAMES = {"nan": float("nan"), "inf": float("inf"), "datetime": datetime, "Decimal": Decimal}


def value(text: str) -> Any:
    """What an actor wrote as Python does; one that is not plain stays text."""
    try:
        return eval(text, dict(NAMES))
    except SyntaxError:
        return text


class Failed(Exception):
    """What a command of an actor raised; `kinds` are the names of its classes."""

    def __init__(self, done: dict[str, Any]) -> None:
        self.kinds: list[str] = done["failed"]
        self.text: str = done["text"]
        self.given: str = done["args"]
        self.facts: dict[str, str] = done["facts"]
        super().__init__(f"{self.kinds[0]}: {self.text}")


class Commanded(Told):
    """A program that does what it is told."""

    def __init__(self, program: str, *words: str) -> None:
        self._numbers = itertools.count()
        super().__init__([sys.executable, "-u", PROGRAMS / program, *words])

    def begin(self, do: str, *args: Any, **kwargs: Any) -> int:
        """Has it do something; the number of the command."""
        number = next(self._numbers)
        self.say(json.dumps({"number": number, "do": do, "given": repr((args, kwargs))}))
        return number

    def result(self, number: int, deadline: float = PATIENCE) -> Any:
        """What came of it, once it is done."""
        done = self.wait("done", deadline, number=number)
        if "failed" in done:
            raise Failed(done)
        return value(done["result"])

    def do(self, do: str, *args: Any, **kwargs: Any) -> Any:
        """Has it do something, and waits for what comes of it."""
        return self.result(self.begin(do, *args, **kwargs))

    def stop(self) -> None:
        """Ends it in good order, and waits."""
        assert self._process.stdin
        self._process.stdin.close()
        self.wait_exit()


class Service(Commanded):
    """A service in a process of its own (`programs/actor.py`)."""

    def __init__(
        self,
        library: Library,
        uri: str,
        name: str,
        *,
        domain: str = "shop",
        kind: str = "till",
        service_id: str | None = None,
        serve: bool = False,
        codec: Codec = "json",
        keep_alive: float | bool = False,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.library, self.uri, self.name = library, uri, name
        self.address = domain, service_id or name, kind
        settings = {
            "uri": uri,
            "name": name,
            "domain": domain,
            "id": service_id or name,
            "type": kind,
            "serve": serve,
            "codec": codec,
            "keep_alive": keep_alive,
            "options": options or {},
        }
        super().__init__("actor.py", library, json.dumps(settings))

    @property
    def is_ours(self) -> bool:
        return self.library == OURS

    @property
    def exchange(self) -> str:
        """Where it is called."""
        domain, of, kind = self.address
        return f"{domain}.api.{kind}.{of}"

    def begin_call(self, service: Service, method: str, /, **given: Any) -> int:
        return self.begin("call", service.address, method, given)

    def call(self, service: Service, method: str, /, **given: Any) -> Any:
        """Calls a method of another service, and gives what it returned."""
        return self.result(self.begin_call(service, method, **given))

    def call_within(self, service: Service, method: str, seconds: float, /, **given: Any) -> Any:
        """A call that may wait for that long in a queue, which only `aio_pika` can say."""
        return self.do("call", service.address, method, given, expiration=seconds)


@dataclass(frozen=True)
class Packet:
    """A message as it is on the wire."""

    exchange: str
    routing_key: str
    body: bytes
    properties: dict[str, Any]

    @property
    def headers(self) -> dict[str, Any]:
        found: dict[str, Any] = self.properties["headers"]
        return found

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Raw(Commanded):
    """A peer that is no library's (`programs/raw.py`)."""

    def __init__(self, uri: str) -> None:
        super().__init__("raw.py", uri)
        self.wait("up")

    def packet(self, label: str, count: int = 1) -> Packet:
        """The `count`th message of a label; waits for it."""
        told = self.wait("packet", label=label, count=count)
        names = {"datetime": datetime}
        body, properties = eval(told["body"]), eval(told["properties"], names)
        return Packet(told["exchange"], told["routing_key"], body, properties)
