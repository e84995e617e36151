"""What nodes do with each other while their packets are recorded: each scenario is a function of a `Stage`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from harness import PrivateServer

from mesh.marks import UNDEFINED
from mesh.peers import JsError, JsNode, Protocol, acquaint
from mesh.wire import Tap


@dataclass
class Stage:
    """Where a scenario is played: what it starts is stopped with it."""

    protocol: Protocol
    url: str
    tap: Tap
    server: PrivateServer
    started: ExitStack = field(default_factory=ExitStack)

    def nodes(self, *ids: str, services: Sequence[str] = (), **options: Any) -> list[JsNode]:
        """Starts nodes that know each other; what they said to get there is forgotten."""
        options.setdefault("heartbeatInterval", 60)
        started = [JsNode(self.protocol, self.url, one, services=services, **options) for one in ids]
        for node in started:
            self.started.enter_context(node)
        acquaint(*started)
        self.tap.clear()
        return started

    def node(self, node_id: str, services: Sequence[str] = (), **options: Any) -> JsNode:
        """Starts one, and forgets nothing."""
        options.setdefault("heartbeatInterval", 60)
        return self.started.enter_context(JsNode(self.protocol, self.url, node_id, services=services, **options))


Scenario = Callable[[Stage], None]
WHEN = datetime(2024, 2, 29, 12, 30, 15, 250_000, tzinfo=UTC)
SCENARIOS: dict[str, Scenario] = {}


def scenario(play: Scenario) -> Scenario:
    """Gives it its name in the corpus: that of the function, with hyphens."""
    SCENARIOS[play.__name__.replace("_", "-")] = play
    return play


def fails(node: JsNode, action: str, params: Any = UNDEFINED, **options: Any) -> JsError:
    """A call that must be rejected."""
    try:
        result = node.call(action, params, **options)
    except JsError as error:
        return error
    raise AssertionError(f"{action} answered {result!r}")


@scenario
def life(stage: Stage) -> None:
    """One node is there, another comes, says that it lives, gets and loses a service, and goes."""
    one = stage.node("a", ["versions"], heartbeatInterval=1, metadata={"region": "eu"})
    other = stage.node("b", ["events"], heartbeatInterval=1)
    acquaint(one, other)
    stage.tap.wait("HEARTBEAT", sender="b")
    seen = len(one.events("local", name="$node.updated"))
    other.ask("create", preset="who")
    one.wait_local("$node.updated", count=seen + 1)
    other.ask("destroy", service="who")
    one.wait_local("$node.updated", count=seen + 2)
    other.stop()
    one.lose("b")


@scenario
def calls(stage: Stage) -> None:
    """Calls of every kind that succeed."""
    one, _ = stage.nodes("a", "b", services=["math", "versions", "who"])
    one.call("math.add", {"a": 1, "b": 2}, nodeID="b")
    one.call("v2.math.add", {"a": 1, "b": "2"}, nodeID="b", meta={"user": "bob"}, timeout=3000)
    one.call("staging.math.add", {"a": 1, "b": 2}, nodeID="b", requestID="mine", caller="me")
    everything: list[Any] = [UNDEFINED, None, [], "text", 7, True, b"bytes", {"gone": UNDEFINED, "none": None}]
    for params in everything:
        one.call("bare.who", params, nodeID="b")
    one.ask("mcall", calls=[{"action": "who.am", "options": {"nodeID": "b"}}, {"action": "who.slow"}])
    if stage.protocol == "5":
        one.call("who.am", {}, nodeID="b", headers={"h": "v"})


@scenario
def values(stage: Stage) -> None:
    """An answer of every kind."""
    one, other = stage.nodes("a", "b", services=["values"])
    names = [action["name"] for action in other.registry()["actions"]]
    for name in sorted(names):
        if name not in ("values.size", "values.got", "values.echo"):
            one.call(name, nodeID="b")
    for params in ({"at": WHEN, "raw": b"\x00\xff"}, {"x": float("nan"), "list": [1, UNDEFINED]}):
        one.call("values.got", params, nodeID="b")


@scenario
def errors(stage: Stage) -> None:
    """An error of every kind, also those that nodes make themselves."""
    one, other = stage.nodes("a", "b", services=["math", "errors", "slow", "visibility", "odd"])
    for kind in other.call("errors.kinds"):
        fails(one, "errors.raise", {"kind": kind, "meta": {"kind": kind}}, nodeID="b", meta={"mine": 1})
    fails(one, "math.sub", {"a": "x"}, nodeID="b")
    fails(one, "math.div", {"a": 1, "b": 0}, nodeID="b")
    fails(one, "guarded.protected", nodeID="b")
    fails(one, "slow.hang", nodeID="b", timeout=200)
    fails(one, "odd.bigint", nodeID="b", timeout=500)
    fails(one, "odd.circular", nodeID="b", timeout=500)
    send(stage, "REQ", "b", id="1", action="no.such")
    send(stage, "REQ", "b", id="2", action="guarded.private")
    send(stage, "REQ", "b", id="3", action="guarded.protected")
    for request in "123":
        stage.tap.wait("RES", id=request)


def send(stage: Stage, command: str, target: str | None = None, sender: str = "far", **fields: Any) -> None:
    """A packet of a node that is nothing but its packets."""
    topic = f"{stage.tap.prefix}.{command}" + (f".{target}" if target else "")
    stage.tap.publish(topic, {"ver": stage.protocol, "sender": sender, **fields})


@scenario
def chain(stage: Stage) -> None:
    """Calls within calls: their levels, ids, meta and remaining time."""
    one, _ = stage.nodes("a", "b", services=["chain", "errors"])
    path = [{"action": "chain.relay", "nodeID": "a"}, {"action": "chain.context", "nodeID": "b"}]
    one.call("chain.relay", {"path": path}, nodeID="b", meta={"u": 1}, timeout=9000)
    one.call("chain.sets", {"u": 2, "added": True}, nodeID="b", meta={"u": 1, "kept": [1]})
    one.call("chain.after", {"action": "chain.sets", "params": {"inner": 1}, "options": {"nodeID": "a"}}, nodeID="b")
    raising = {"kind": "MoleculerError", "meta": {"inner": 1}}
    one.call("chain.after", {"action": "errors.raise", "params": raising, "options": {"nodeID": "a"}}, nodeID="b")
    many = {"x": {"action": "chain.context", "options": {"nodeID": "a"}}, "y": {"action": "chain.context"}}
    one.call("chain.many", {"calls": many}, nodeID="b")
    if stage.protocol == "5":
        one.call("chain.headers", {"answer": "h"}, nodeID="b", headers={"asked": "h"})


@scenario
def events(stage: Stage) -> None:
    """Events to one of each group, to everybody, and to nobody but this node."""
    stage.node("c", ["events"])
    one, other = stage.nodes("a", "b", services=["chain"])
    one.meet("c")
    other.ask("create", name="listener", events={"user.*": {}, "order.**": {"group": "billing"}})
    one.ask("waitForServices", services=["listener"])
    stage.tap.clear()
    one.emit("user.created", {"id": 1}, meta={"m": 1})
    one.emit("order.paid.late", [1, None])
    one.emit("order.x")
    one.emit("user.created", {"id": 2}, groups=["mail", "billing"])
    one.emit("user.created", {"id": 3}, groups="stock")
    one.emit("nobody.hears", {})
    one.broadcast("user.created", {"id": 4})
    one.broadcast("user.created", {"id": 5}, groups=["listener"])
    one.ask("broadcastLocal", name="user.created", params={"id": 6})
    one.call("chain.emits", {"name": "user.left", "params": "text"}, nodeID="b", meta={"of": "call"})
    one.call("chain.emits", {"name": "user.left", "how": "broadcast"}, nodeID="b")
    if stage.protocol == "5":
        one.emit("user.created", {"id": 7}, headers={"h": "v"})
    one.ping("c")


@scenario
def ping(stage: Stage) -> None:
    """Pings of one and of all."""
    one, other = stage.nodes("a", "b")
    one.ping("b")
    other.ping()
    send(stage, "PING", "b", time=1)
    stage.tap.wait("PONG", "far")


@scenario
def streams(stage: Stage) -> None:
    """Streams down, up and both ways; of bytes and of objects; that end, and that fail."""
    one, _ = stage.nodes("a", "b", services=["streams"], transit={"maxChunkSize": 8})
    failure = {"message": "no more", "code": 77}
    objects: Mapping[str, Any] = {"chunks": [{"a": 1}, "two", [3]], "objectMode": True}
    one.call("streams.down", {"chunks": [b"chunk"]}, nodeID="b")
    one.call("streams.down", {"chunks": []}, nodeID="b")
    one.call("streams.down", {"size": 20, "chunk": 20}, nodeID="b")
    one.call("streams.down", objects, nodeID="b", meta={"m": 1})
    one.call("streams.down", {"chunks": [b"chunk"], "fails": failure}, nodeID="b")
    one.call("streams.up", {"given": 1}, stream={"chunks": [b"chunk", "text"]}, nodeID="b", meta={"m": 1})
    one.call("streams.up", {}, stream={"chunks": []}, nodeID="b")
    one.call("streams.up", {}, stream={"size": 20, "chunk": 20}, nodeID="b")
    one.call("streams.up", {}, stream=objects, nodeID="b")
    one.call("streams.up", {}, stream={"chunks": [b"chunk"], "fails": failure}, nodeID="b")
    one.call("streams.upper", {}, stream={"chunks": ["ab", "cd"]}, nodeID="b")
    one.call("streams.echo", {}, stream=objects, nodeID="b")
