"""Scenarios of nodes with settings of their own, and of strangers: balanced topics, limits, serializers, `$node`."""

from __future__ import annotations

from harness import wait_until

from mesh.scenarios import WHEN, Stage, fails, scenario, send

KEY, VECTOR = "k" * 32, "0123456789abcdef"
"""Of encrypted packets."""


@scenario
def namespace(stage: Stage) -> None:
    """Nodes apart from all others: `prefix` of their topics is `MOL-dev`."""
    one, other = stage.nodes("a", "b", services=["who"], namespace="dev")
    one.call("who.am", nodeID="b")
    other.stop()
    one.lose("b")


@scenario
def balanced_over_nats(stage: Stage) -> None:
    """The server balances: topics of actions and of groups' events."""
    one, other = stage.nodes("a", "b", services=["versions", "who", "events"], disableBalancer=True)
    one.call("v2.math.add", {"a": 1, "b": 2})
    one.call("who.am")
    one.call("who.am", nodeID="b")
    one.emit("user.created", {"id": 1})
    one.emit("order.paid.late", {"id": 2}, groups=["billing"])
    one.broadcast("user.created", {"id": 3})

    def heard() -> bool:
        events = [event["params"]["id"] for node in (one, other) for event in node.events("heard")]
        return {1, 2, 3} <= set(events)

    wait_until(heard)


@scenario
def strangers(stage: Stage) -> None:
    """What a node makes of another that says the least that it may, or what it may not."""
    (one,) = stage.nodes("a", services=["who"])
    send(stage, "HEARTBEAT", cpu=0)
    stage.tap.wait("DISCOVER", "far")
    services = [{"name": "tiny", "actions": {"k": {"name": "tiny.do"}}, "events": {"k": {"name": "tiny.event"}}}]
    send(stage, "INFO", services=services, seq=1, instanceID="i")
    one.meet("far")
    send(stage, "REQ", "a", id="1", action="who.am")
    stage.tap.wait("RES", "far", id="1")
    number = one.begin_call("tiny.do", {"x": 1})
    request = stage.tap.wait("REQ", "far").fields["id"]
    send(stage, "RES", "a", id=request, success=True, data=7)
    assert one.answer(number).result == 7
    one.emit("tiny.event", {"x": 1})
    stage.tap.wait("EVENT", "far")
    send(stage, "DISCOVER")
    stage.tap.wait("INFO", "far")
    send(stage, "DISCONNECT")
    one.lose("far")
    send(stage, "HEARTBEAT", cpu=0)
    stage.tap.wait("DISCOVER", "far", count=2)


@scenario
def limits(stage: Stage) -> None:
    """Retries, and a circuit breaker that tells everybody."""
    one = stage.node("a")
    (other,) = stage.nodes("b", services=["limited"])
    other.ask("create", name="listener", events={"$circuit-breaker.*": {}})
    one.ask("waitForServices", services=["limited", "listener"])
    stage.tap.clear()
    one.call("limited.retried", {"key": "k", "times": 2})
    for _attempt in range(4):
        fails(one, "limited.broken", {"fails": True})
    fails(one, "limited.broken", {"fails": False})
    one.wait_local("$circuit-breaker.half-opened")
    one.call("limited.broken", {"fails": False})
    stage.tap.wait("EVENT", event="$circuit-breaker.closed")


@scenario
def traced(stage: Stage) -> None:
    """Ids of spans in the place of ids of contexts, and whether a trace is sampled."""
    tracing = {"enabled": True, "exporter": None, "events": True}
    one, _ = stage.nodes("a", "b", services=["chain", "events"], tracing=tracing)
    path = [{"action": "chain.context", "nodeID": "a"}]
    one.call("chain.relay", {"path": path}, nodeID="b")
    one.call("chain.emits", {"name": "user.left"}, nodeID="b")
    one.broadcast("audit.done")
    one.ping("b")


@scenario
def packed(stage: Stage) -> None:
    """MessagePack."""
    one, _ = stage.nodes("a", "b", services=["values", "streams"], serializer="MsgPack")
    for name in ("object", "undefined", "null", "buffer", "date", "float", "big", "text", "nan"):
        one.call(f"values.{name}", nodeID="b")
    one.call("values.got", {"at": WHEN, "raw": b"\x00\xff", "gone": None}, nodeID="b")
    one.call("streams.down", {"chunks": [b"chunk"]}, nodeID="b")
    one.call("streams.up", {}, stream={"chunks": [b"chunk"]}, nodeID="b")
    one.ping("b")


@scenario
def extended(stage: Stage) -> None:
    """JSON with prefixes for what JSON has not; protocol 5 alone knows it."""
    if stage.protocol != "5":
        return
    one, _ = stage.nodes("a", "b", services=["values", "odd"], serializer="JSONExt")
    for name in ("object", "buffer", "buffers", "date", "map", "set", "regexp"):
        one.call(f"values.{name}", nodeID="b")
    one.call("odd.bigint", nodeID="b")
    one.call("values.got", {"at": WHEN, "raw": b"\x00\xff", "big": 2**60, "text": "[[DT]]x"}, nodeID="b")


@scenario
def compressed(stage: Stage) -> None:
    """A byte that tells whether the rest is deflated, which it is from a size on."""
    shrinking = [{"name": "Compression", "args": [{"threshold": 200}]}]
    one, _ = stage.nodes("a", "b", services=["values"], middlewares=shrinking)
    one.call("values.zero", nodeID="b")
    one.call("values.size", {"bytes": 300}, nodeID="b")


@scenario
def encrypted(stage: Stage) -> None:
    """AES over whole packets."""
    hiding = [{"name": "Encryption", "args": [KEY, "aes-256-cbc", VECTOR]}]
    one, _ = stage.nodes("a", "b", services=["values"], middlewares=hiding)
    one.call("values.zero", nodeID="b")


@scenario
def talk_of_nodes(stage: Stage) -> None:
    """The actions of `$node`, asked from afar."""
    one, _ = stage.nodes("a", "b", services=["who", "events"])
    for name in ("list", "services", "actions", "events"):
        asked = {"skipInternal": True, "withActions": True, "withEvents": True, "withEndpoints": True}
        one.call(f"$node.{name}", asked, nodeID="b")


@scenario
def talk_of_health(stage: Stage) -> None:
    """What `$node` tells of its machine and its metrics: their names, in the place of their values."""
    one, _ = stage.nodes("a", "b", services=["who"], metrics={"enabled": True, "reporter": None})
    one.call("$node.health", nodeID="b")
    one.call("$node.metrics", nodeID="b")
