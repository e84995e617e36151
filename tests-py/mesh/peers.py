"""Moleculer.js as tests speak of it: nodes of either protocol, each a program of its own (`js/node.js`)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from harness import Told
from harness.told import PATIENCE

from mesh.marks import UNDEFINED, from_js, to_js

JS = Path(__file__).with_name("js")
Protocol = Literal["4", "5"]
PROTOCOLS: tuple[Protocol, ...] = ("4", "5")
SERVICES = (
    *("math", "versions", "who", "values", "odd", "errors", "chain", "slow", "streams", "events"),
    *("visibility", "hooked", "limited", "cached"),
)
"""All that a node serves unless told otherwise (`js/services/`)."""


def interpreter(protocol: Protocol) -> Path | str:
    """The Node.js that runs a peer: this machine's, or, for what asks for a newer one, npm's own."""
    found = sorted((JS / f"v{protocol}" / "node_modules").glob("node-linux-*/bin/node"))
    return found[0] if found else "node"


class JsError(Exception):
    """What a call at a peer was rejected with. `kinds` are the names of its classes, from its own up."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        super().__init__(f"{told.get('name')}: {told.get('message', told.get('thrown'))}")
        self.told = told
        self.kinds: list[str] = told["kinds"]
        self.message: Any = told.get("message")
        self.name, self.code = told.get("name"), told.get("code")
        self.data: Any = told.get("data")
        self.type = told.get("type")
        self.retryable, self.node_id = told.get("retryable"), told.get("nodeID")


@dataclass(frozen=True)
class JsStream:
    """A stream that a peer has read: all its chunks, or only their digest where they are many."""

    count: int
    bytes: int
    sha256: str
    object_mode: bool
    chunks: list[Any] | None
    sizes: list[int | None] | None
    error: Mapping[str, Any] | None

    @classmethod
    def told(cls, fields: Mapping[str, Any]) -> Self:
        error = fields.get("error", UNDEFINED)
        return cls(
            fields["count"],
            fields["bytes"],
            fields["sha256"],
            fields["objectMode"],
            fields.get("chunks"),
            fields.get("sizes"),
            None if error is UNDEFINED else error,
        )


@dataclass(frozen=True)
class Answer:
    """What came of a call, and the caller's context after it."""

    result: Any
    context: Mapping[str, Any]


class JsNode(Told):
    """A node of Moleculer.js; as a context manager it is entered once the node has started.

    `options` are the broker's own, in its own spelling (`disableBalancer=True`, `heartbeatInterval=1`).
    """

    def __init__(
        self,
        protocol: Protocol,
        transporter: str,
        node_id: str,
        *,
        services: Sequence[str] = SERVICES,
        middlewares: Iterable[Mapping[str, Any]] = (),
        level: str = "warn",
        **options: Any,
    ) -> None:
        self.protocol, self.node_id = protocol, node_id
        self._numbers = itertools.count()
        settings = {
            "options": {"nodeID": node_id, "transporter": transporter, **options},
            "services": list(services),
            "middlewares": list(middlewares),
            "level": level,
        }
        words = [interpreter(protocol), JS / "node.js", JS / f"v{protocol}", json.dumps(to_js(settings))]
        super().__init__(words)

    def __enter__(self) -> Self:
        try:
            self.ready()
        except BaseException:
            self.close()
            raise
        return self

    def ready(self) -> dict[str, Any]:
        """Returns when the node has started; tells its node, instance, version and protocol."""
        return self.wait("ready", 2 * PATIENCE)

    def events(self, kind: str | None = None, /, **fields: Any) -> list[dict[str, Any]]:
        told = (from_js(event) for event in super().events(kind))
        return [event for event in told if all(event.get(name, UNDEFINED) == value for name, value in fields.items())]

    def begin(self, do: str, /, **given: Any) -> int:
        """Has it do something (`js/commands.js`, `js/oracles.js`); the number of the command."""
        number = next(self._numbers)
        self.say(json.dumps({"number": number, "do": do, "with": to_js(given)}))
        return number

    def done(self, number: int, deadline: float = PATIENCE) -> dict[str, Any]:
        """All that is told of a command that is done."""
        done = self.wait("done", deadline, number=number)
        if "error" in done:
            raise JsError(done["error"])
        return done

    def ask(self, do: str, /, deadline: float = PATIENCE, **given: Any) -> Any:
        """Has it do something and waits for what comes of it."""
        return self.done(self.begin(do, **given), deadline).get("result")

    def begin_call(self, action: str, params: Any = UNDEFINED, *, stream: Any = None, **options: Any) -> int:
        """A call that is not waited for."""
        streaming = {"stream": stream} if stream is not None else {}
        own = {name: options.pop(name) for name in ("take", "follow") if name in options}
        return self.begin("call", action=action, params=params, options=options, **own, **streaming)

    def answer(self, number: int, deadline: float = PATIENCE) -> Answer:
        """What came of a call."""
        done = self.done(number, deadline)
        result = JsStream.told(done["stream"]) if "stream" in done else done["result"]
        return Answer(result, done["ctx"])

    def called(self, action: str, params: Any = UNDEFINED, *, deadline: float = PATIENCE, **options: Any) -> Answer:
        """A call, its answer, and what its context has become.

        `options` are Moleculer's (`meta=…`, `timeout=…`, `nodeID=…`), and `stream={"chunks": […]}` for a stream
        that goes with it (`js/streaming.js`), `take=2` to let go of the one that comes, `follow=True` to be told of it.
        """
        return self.answer(self.begin_call(action, params, **options), deadline)

    def call(self, action: str, params: Any = UNDEFINED, *, deadline: float = PATIENCE, **options: Any) -> Any:
        """A call, and its answer alone."""
        return self.called(action, params, deadline=deadline, **options).result

    def emit(self, name: str, params: Any = UNDEFINED, **options: Any) -> None:
        self.ask("emit", name=name, params=params, options=options)

    def broadcast(self, name: str, params: Any = UNDEFINED, **options: Any) -> None:
        self.ask("broadcast", name=name, params=params, options=options)

    def ping(self, node: str | None = None, timeout: int = 2000) -> Any:
        return self.ask("ping", node=UNDEFINED if node is None else node, timeout=timeout)

    def meet(self, *nodes: str, deadline: float = PATIENCE) -> None:
        """Returns when it knows those nodes and their services."""
        self.ask("waitForNodes", deadline + 1, nodes=list(nodes), timeout=deadline * 1000)

    def lose(self, *nodes: str, deadline: float = PATIENCE) -> None:
        """Returns when those nodes are gone for it."""
        self.ask("waitForLoss", deadline + 1, nodes=list(nodes), timeout=deadline * 1000)

    def registry(self) -> dict[str, Any]:
        """Its nodes, services, actions and events, as Moleculer lists them."""
        listed: dict[str, Any] = self.ask("registry")
        return listed

    def wait_event(self, name: str, *, deadline: float = PATIENCE, count: int = 1, **fields: Any) -> dict[str, Any]:
        """The `count`th event of that name that one of its handlers got."""
        return self.wait("heard", deadline, count, name=name, **fields)

    def wait_local(self, name: str, *, deadline: float = PATIENCE, count: int = 1, **fields: Any) -> dict[str, Any]:
        """The `count`th event of its own process: `$node.connected`, `$transporter.disconnected`…"""
        return self.wait("local", deadline, count, name=name, **fields)

    def stop(self) -> int:
        """Ends it in good order, as Moleculer does, and waits."""
        assert self._process.stdin
        self._process.stdin.close()
        return self.wait_exit(PATIENCE)


def acquaint(*nodes: JsNode) -> None:
    """Returns when each knows all the others."""
    for node in nodes:
        others = [other.node_id for other in nodes if other is not node]
        node.meet(*others)
