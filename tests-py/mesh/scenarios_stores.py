"""Scenarios of what nodes keep outside: results in a cache, messages in channels, themselves in a discoverer's keys."""

from __future__ import annotations

from mesh.scenarios import Stage, scenario


@scenario
def cached_in_redis(stage: Stage) -> None:
    """Keys, times to live, locks and cleaning of the Redis cacher."""
    cacher = {"type": "Redis", "options": {"ttl": 30, "redis": _place(stage)}}
    one, _ = stage.nodes("a", "b", services=["cached"], cacher=cacher)
    for _again in range(2):
        one.call("cached.whole", {"b": 1, "a": ["x", None, True], "c": {"d": 1.5}}, nodeID="b")
    one.call("cached.whole", nodeID="b")
    one.call("cached.keyed", {"id": 5, "at": {"x": "text"}, "other": 1}, nodeID="b", meta={"user": "bob"})
    one.call("cached.keyed", {}, nodeID="b")
    one.call("cached.locked", {"id": 1}, nodeID="b")
    one.call("cached.clean", {"pattern": "cached.*"}, nodeID="b")


@scenario
def channels_in_redis(stage: Stage) -> None:
    """`@moleculer/channels` over Redis Streams; for protocol 4 alone."""
    _channels(stage, {"type": "Redis", "options": {"redis": _place(stage)}})


@scenario
def channels_over_nats(stage: Stage) -> None:
    """`@moleculer/channels` over JetStream; for protocol 4 alone."""
    _channels(stage, {"type": "NATS", "options": {"nats": {"connectionOptions": {"servers": stage.url}}}})


def _channels(stage: Stage, adapter: object) -> None:
    if stage.protocol != "4":
        return
    one = stage.node("a", ["channels"], middlewares=[{"name": "Channels", "args": [{"adapter": adapter}]}])
    one.ask("publish", channel="order.paid", payload={"id": 1})
    one.wait("taken", channel="order.paid")
    one.call("channels.pay", {"id": 2}, meta={"m": 1})
    one.wait("taken", channel="order.paid", count=2)
    one.ask("publish", channel="order.failing", payload={"id": 3}, options={"headers": {"h": "v"}})
    one.wait("dead")
    one.stop()


@scenario
def discovered_in_redis(stage: Stage) -> None:
    """The Redis discoverer: keys in the place of packets."""
    discoverer = {"type": "Redis", "options": {"redis": _place(stage)}}
    one = stage.node("a", ["who"], heartbeatInterval=1, registry={"discoverer": discoverer})
    other = stage.node("b", ["who"], heartbeatInterval=1, registry={"discoverer": discoverer})
    one.meet("b")
    other.meet("a")
    other.stop()
    one.lose("b")


def _place(stage: Stage) -> dict[str, object]:
    return {"host": stage.server.host, "port": stage.server.port}
