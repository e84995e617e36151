"""The peers that other tests meet: each version of Moleculer.js, with another node of its kind, as a test drives it."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from harness import Redis, wait_until

from mesh.corpus import captured, differences
from mesh.marks import UNDEFINED, from_js, to_js
from mesh.meeting import Meeting
from mesh.peers import PROTOCOLS, JsError, JsNode, JsStream, Protocol
from mesh.wire import RedisTap

VERSIONS = {"4": "0.14.36", "5": "0.15.2"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_two_nodes_of_a_version_do_all_that_nodes_do(protocol: Protocol, meeting: Meeting) -> None:
    tap = meeting.tap()
    one, other = meeting.all_js(protocol, "one", "other")
    assert one.ready()["version"] == VERSIONS[protocol]

    # A call, what its context has become, and how both look on the wire.
    answer = one.called("v2.math.add", {"a": 1, "b": "2"}, nodeID="other", meta={"user": "bob"}, timeout=3000)
    assert (answer.result, answer.context["node"], answer.context["meta"]) == (3, "other", {"user": "bob"})
    request = tap.wait("REQ", "other", action="v2.math.add")
    reply = tap.wait("RES", "one", id=request.fields["id"])
    kept = captured(protocol, "calls")
    alike = next(packet for packet in kept if packet.fields.get("action") == "v2.math.add")
    assert differences(request.fields, alike.fields) == []
    assert differences(reply.fields, kept[kept.index(alike) + 1].fields) == []

    # An error, rebuilt as what it was; one whose class the caller has not.
    with pytest.raises(JsError) as raised:
        one.call("errors.raise", {"kind": "MoleculerClientError"}, nodeID="other")
    error = raised.value
    assert (error.kinds[0], error.code, error.type, error.node_id) == (
        "MoleculerClientError",
        422,
        "BAD_THING",
        "other",
    )
    assert error.data == {"field": "a", "list": [1, {"b": None}]}
    with pytest.raises(JsError, match="I am a teapot") as raised:
        one.call("errors.raise", {"kind": "OwnError"}, nodeID="other")
    assert raised.value.kinds == ["Error"]

    # Values that JSON has not, as they arrive.
    assert one.call("values.undefined", nodeID="other") is UNDEFINED
    assert one.call("values.null", nodeID="other") is None
    assert one.call("values.buffer", nodeID="other") == {"type": "Buffer", "data": [0, 1, 127, 128, 255]}
    assert one.call("values.date") == datetime(2024, 2, 29, 12, 30, 15, 250_000, tzinfo=UTC)

    # Events, streams, pings.
    other.ask("create", name="listener", events={"only.**": {"group": "here"}})
    one.ask("waitForServices", services=["listener"])
    one.emit("only.one.there", {"id": 1}, meta={"m": 1})
    heard = other.wait_event("only.one.there")
    assert (heard["handler"], heard["group"], heard["params"], heard["sender"]) == ("only.**", "here", {"id": 1}, "one")
    stream = one.call("streams.echo", stream={"size": 300_000}, nodeID="other")
    assert isinstance(stream, JsStream)
    assert (stream.bytes, stream.sha256) == (300_000, one.call("streams.down", {"size": 300_000}).sha256)
    assert one.ping("other")["nodeID"] == "other"

    # The end, as the other sees it.
    assert other.stop() == 0
    gone = one.wait_local("$node.disconnected")
    assert (gone["node"]["id"], gone["payload"]) == ("other", {"unexpected": False})
    tap.wait("DISCONNECT", sender="other")


def test_a_frozen_node_is_lost_and_comes_back_and_a_killed_one_does_not(at_redis: Meeting) -> None:
    often = {"heartbeatInterval": 1, "heartbeatTimeout": 1, "services": ["who"]}
    one, other = at_redis.all_js("4", "one", "other", **often)
    other.freeze()
    assert one.wait_local("$node.disconnected")["payload"] == {"unexpected": True}
    other.thaw()
    assert one.wait_local("$node.connected", count=2)["payload"] == {"reconnected": True}
    assert one.call("who.am", nodeID="other") == "other"
    other.kill()
    one.wait_local("$node.disconnected", count=2)
    with pytest.raises(JsError) as raised:
        one.call("who.am", nodeID="other")
    assert raised.value.name == "ServiceNotFoundError"


def test_balanced_nodes_share_queues_at_nats(at_nats: Meeting) -> None:
    at_nats.all_js("5", "one", "other", services=["who", "events"], disableBalancer=True)
    listening = at_nats.server.subscribers()  # type: ignore[union-attr]
    assert listening[f"{at_nats.prefix}.REQB.who.am"] == ["who.am", "who.am"]
    assert listening[f"{at_nats.prefix}.EVENTB.billing.order.>"] == ["billing", "billing"]


def test_a_stranger_is_played_with_packets_alone(at_redis: Meeting) -> None:
    tap = at_redis.tap()
    node = at_redis.js("4", "one", services=["who"])
    about = {"ver": "4", "sender": "far"}
    tap.publish(f"{at_redis.prefix}.REQ.one", {**about, "id": "1", "action": "who.am"})
    assert tap.wait("RES", "far", id="1").fields["data"] == "one"
    tap.publish(f"{at_redis.prefix}.REQ.one", b"no json")
    tap.publish(f"{at_redis.prefix}.REQ.one", {**about, "ver": "5", "id": "2", "action": "who.am"})
    refused = node.wait_local("$transit.error")
    assert refused["error"]["kinds"][0] == "ProtocolVersionMismatchError"
    assert node.wait("log", level="warn")["module"] == "transporter"


def test_a_node_that_cannot_start_says_why(redis: Redis) -> None:
    url = f"redis://{redis.host}:{redis.port}"
    with pytest.raises(AssertionError, match="Invalid serializer"), JsNode("4", url, "one", serializer="None"):
        pass


def test_rules_keys_and_patterns_are_asked_of_moleculer_itself(at_redis: Meeting) -> None:
    node = at_redis.js("5", "one", services=[])
    held = node.done(node.begin("validate", rules={"id": "number|convert"}, params={"id": "5"}))
    assert (held["result"], held["params"]) == (True, {"id": 5})
    assert node.ask("cacheKey", action="a.b", params={"x": "text", "n": None}) == 'a.b:x|"text"|n|null'
    assert node.ask("match", pattern="order.**", names=["order", "order.a.b"]) == {"order": False, "order.a.b": True}
    shards = node.ask("shard", nodes=["n1", "n2"], keys=["a", "b"])
    assert set(shards.values()) <= {"n1", "n2"}


@pytest.mark.parametrize(
    "value",
    [UNDEFINED, None, b"\x00\xff", 2**60, -math.inf, {"a": [UNDEFINED, datetime(2024, 2, 29, tzinfo=UTC)]}],
    ids=repr,
)
def test_values_of_javascript_cross_in_marks(value: object) -> None:
    assert from_js(to_js(value)) == value


def test_differences_are_told_by_key_and_by_kind() -> None:
    assert differences({"a": 1, "b": {"c": "x"}}, {"a": 2.5, "b": {"c": "y"}}) == []
    assert differences({"a": 1, "b": {"c": None}}, {"b": {"c": "y"}, "d": 1}) == [
        ".d: theirs alone",
        ".a: ours alone",
        ".b.c: null, theirs string",
    ]


def test_a_recorder_hears_what_others_publish(redis: Redis) -> None:
    with RedisTap(redis.address) as tap:
        redis.ask("PUBLISH", "MOL.PING.x", '{"ver":"4","sender":"y"}')
        redis.ask("PUBLISH", "OTHER.PING.x", "{}")
        packet = tap.wait("PING", sender="y")
        assert (packet.prefix, packet.command, packet.target) == ("MOL", "PING", "x")
        wait_until(lambda: redis.ask("PUBSUB", "NUMPAT") == b":1\r\n")
        assert len(tap.packets) == 1
