"""The hooks of whole packets, `transit_publish` and `transit_message_handler`: they see, change and withhold them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from ironbridge import IronbridgeError
from ironbridge._mesh.middle.transforming import transforming
from ironbridge.mesh import Broker, Context, RequestTimeoutError
from ironbridge.mesh.middlewares import Compression, Encryption, Packet

from mesh.meeting import Meeting
from mesh.nodes import until
from mesh.peers import PROTOCOLS, JsError, JsNode, Protocol

Next = Callable[..., Any]


async def echo(ctx: Context) -> Any:
    return ctx.params


class Seen:
    """Keeps all packets, and withholds or changes those that a test wants."""

    def __init__(self) -> None:
        self.sent: list[Packet] = []
        self.came: list[tuple[str, Packet]] = []
        self.withheld_out: set[str] = set()
        self.withheld_in: set[str] = set()
        self.change_out: Callable[[Packet], None] = lambda packet: None
        self.change_in: Callable[[Packet], None] = lambda packet: None

    def transit_publish(self, next: Next) -> Next:
        def publish(packet: Packet) -> Any:
            self.sent.append(Packet(packet.type, packet.target, dict(packet.payload)))
            self.change_out(packet)
            return None if packet.type in self.withheld_out else next(packet)

        return publish

    def transit_message_handler(self, next: Next) -> Next:
        def handle(cmd: str, packet: Packet) -> Any:
            self.came.append((cmd, Packet(packet.type, packet.target, dict(packet.payload))))
            self.change_in(packet)
            return None if cmd in self.withheld_in else next(cmd, packet)

        return handle


class Met:
    """A node of ours with hooks, which has met one in JavaScript."""

    def __init__(self, at: Meeting, protocol: Protocol = "4", **options: Any) -> None:
        self.seen = Seen()
        options = {"middlewares": [self.seen], "protocol": protocol, **options}
        self.broker = Broker("ours", transporter=at.url, namespace=at.namespace, **options)
        self.broker.create_service({"name": "mirror", "actions": {"echo": echo}, "events": {"told.**": self.hears}})
        self.heard: list[Any] = []
        self.at, self.protocol = at, protocol
        self.js: JsNode

    async def hears(self, ctx: Context) -> None:
        self.heard.append(ctx.params)

    async def __aenter__(self) -> Met:
        self.js = await asyncio.to_thread(self.at.js, self.protocol, "theirs", services=["values", "math", "events"])
        await self.broker.start()
        await self.broker.wait_for_services(["values", "math"], 10_000)
        await asyncio.to_thread(self.js.meet, "ours")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.broker.stop()

    async def theirs_calls(self, params: Any, timeout: int = 5000) -> Any:
        return await asyncio.to_thread(self.js.call, "mirror.echo", params, timeout=timeout)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_hooks_see_each_packet_with_its_type_target_and_payload(protocol: Protocol, at_redis: Meeting) -> None:
    async with Met(at_redis, protocol) as met:
        assert await met.broker.call("math.add", {"a": 1, "b": 2}) == 3
        assert await met.theirs_calls({"x": "ü"}) == {"x": "ü"}
        await met.broker.emit("user.created", {"id": 7})
        await asyncio.to_thread(met.js.wait_event, "user.created")
    sent, came = met.seen.sent, met.seen.came
    [request] = [one for one in sent if one.type == "REQ"]
    assert (request.target, request.payload["action"], request.payload["params"]) == (
        "theirs",
        "math.add",
        {"a": 1, "b": 2},
    )
    # They are added when it is sent, as Moleculer adds them.
    assert not {"ver", "sender"} & set(request.payload)
    [answer] = [one for cmd, one in came if cmd == "RES"]
    assert (answer.type, answer.target, answer.payload["id"], answer.payload["data"]) == (
        "RES",
        None,
        request.payload["id"],
        3,
    )
    assert (answer.payload["ver"], answer.payload["sender"]) == (protocol, "theirs")
    [event] = [one for one in sent if one.type == "EVENT"]
    assert (event.target, event.payload["event"], event.payload["data"]) == ("theirs", "user.created", {"id": 7})
    assert {"DISCOVER", "INFO", "DISCONNECT"} <= {one.type for one in sent if one.target is None}
    assert ("RES", "theirs") in {(one.type, one.target) for one in sent}
    assert "INFO" in {cmd for cmd, _ in came}


async def test_what_hooks_change_is_what_is_sent_and_what_is_handled(at_redis: Meeting) -> None:
    def more(packet: Packet) -> None:
        if packet.type == "REQ":
            packet.payload["params"]["b"] = 40
            packet.payload["sender"] = "another"  # is not theirs to say

    def other(packet: Packet) -> None:
        if packet.type == "REQ":
            packet.payload["params"] = {"instead": ["ü", "\ud800", 2**60, 1.5]}

    async with Met(at_redis) as met:
        met.seen.change_out, met.seen.change_in = more, other
        assert await met.broker.call("math.add", {"a": 2, "b": 2}) == 42
        answered = await met.theirs_calls({"x": 1})
    assert answered["instead"][0] == "ü" and answered["instead"][3] == 1.5


@pytest.mark.parametrize("serializer", ["json", "msgpack"])
async def test_several_stand_around_each_other_and_packets_pass_bytes_hooks_after(
    namespace: str, serializer: str
) -> None:
    def adds(word: str) -> dict[str, Any]:
        def publish(next: Next) -> Next:
            def hooked(packet: Packet) -> Any:
                if packet.type == "REQ":
                    packet.payload["params"]["words"].append(word)
                return next(packet)

            return hooked

        def handler(next: Next) -> Next:
            def hooked(cmd: str, packet: Packet) -> Any:
                if cmd == "REQ":
                    packet.payload["params"]["words"].append(f"{word} in")
                return next(cmd, packet)

            return hooked

        return {"transitPublish": publish, "transitMessageHandler": handler}

    # As Moleculer has it, the last is the outermost, for both.
    middlewares = [adds("inner"), Compression(threshold=0), Encryption("secret"), adds("outer")]
    options: dict[str, Any] = {"transporter": "memory", "namespace": namespace, "serializer": serializer}
    one = Broker("one", middlewares=middlewares, **options)
    two = Broker("two", middlewares=middlewares, **options)
    one.create_service({"name": "mirror", "actions": {"echo": echo}})
    async with one, two:
        await two.wait_for_services("mirror", 5000)
        told: dict[str, Any] = {"words": [], "bytes": b"\0\xff" if serializer == "msgpack" else "text"}
        answer = await two.call("mirror.echo", told)
    assert answer == {**told, "words": ["outer", "inner", "outer in", "inner in"]}


async def test_a_call_that_is_withheld_fails_at_once_and_nobody_hears_of_it(at_redis: Meeting) -> None:
    async with Met(at_redis) as met:
        tap = at_redis.tap()
        met.seen.withheld_out = {"REQ"}
        with pytest.raises(IronbridgeError, match=r"withheld the call of math\.add"):
            await met.broker.call("math.add", {"a": 1, "b": 2})
        met.seen.withheld_out = set()
        assert await met.broker.call("math.add", {"a": 1, "b": 2}) == 3
        assert met.broker.stats()["pending"] == 0
        await asyncio.to_thread(tap.wait, "REQ")
    assert [one.fields["params"] for one in tap.find("REQ")] == [{"a": 1, "b": 2}]


async def test_an_answer_that_is_withheld_never_comes(at_redis: Meeting) -> None:
    async with Met(at_redis) as met:
        met.seen.withheld_out = {"RES"}
        with pytest.raises(JsError) as raised:
            await met.theirs_calls("secret", 300)
        assert raised.value.name == "RequestTimeoutError"
        met.seen.withheld_out = set()
        assert await met.theirs_calls("open") == "open"
    assert [one.payload["data"] for one in met.seen.sent if one.type == "RES" and one.payload["success"]] == [
        "secret",
        "open",
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_event_that_is_withheld_is_heard_here_alone(protocol: Protocol, at_redis: Meeting) -> None:
    async with Met(at_redis, protocol) as met:
        tap = at_redis.tap()
        met.broker.create_service({"name": "own", "events": {"user.created": met.hears}})
        await met.broker.wait_for_services("own", 5000)
        met.seen.withheld_out = {"EVENT"}
        await met.broker.broadcast("user.created", {"id": 1})
        met.seen.withheld_out = set()
        await met.broker.broadcast("user.created", {"id": 2})
        heard = await asyncio.to_thread(met.js.wait_event, "user.created")
    assert heard["params"] == {"id": 2}
    assert met.heard == [{"id": 1}, {"id": 2}]
    assert not any(b'"id":1' in one.body for one in tap.packets)
    assert met.js.events("heard", params={"id": 1}) == []


async def test_what_has_come_and_is_withheld_is_not_handled_and_nothing_is_told_of_it(
    at_redis: Meeting, caplog: pytest.LogCaptureFixture
) -> None:
    async with Met(at_redis) as met:
        for _ in range(3):
            met.seen.withheld_in = {"REQ", "RES", "EVENT", "INFO", "HEARTBEAT", "PING"}
            with pytest.raises(JsError) as theirs:
                await met.theirs_calls("x", 200)
            assert theirs.value.name == "RequestTimeoutError"
            with pytest.raises(RequestTimeoutError):
                await met.broker.call("math.add", {"a": 1, "b": 2}, timeout=200)
            await asyncio.to_thread(met.js.emit, "told.one", 1)
            assert await asyncio.to_thread(met.js.ping, "ours", 200) is None
            met.seen.withheld_in = set()
            assert await met.theirs_calls("y") == "y"
        await asyncio.to_thread(met.js.emit, "told.two", 2)
        await until(lambda: met.heard, "the event that is not withheld")
        stats = met.broker.stats()
        assert "theirs" in met.broker.get_registry().nodes
    assert met.heard == [2]
    assert [one.payload["data"] for cmd, one in met.seen.came if cmd == "EVENT"] == [1, 1, 1, 2]
    assert stats["packets_unread"] == 0
    assert not [one for one in caplog.records if one.levelname in ("ERROR", "WARNING")]


async def test_signs_of_life_that_are_withheld_make_the_other_node_lost(namespace: str) -> None:
    options: dict[str, Any] = {"transporter": "memory", "namespace": namespace, "heartbeat_interval": 50}
    seen = Seen()
    one = Broker("one", cfg_node_ping_timeout_ms=300, middlewares=[seen], **options)
    async with one, Broker("two", **options):
        await until(lambda: one.get_registry().nodes.get("two"), "the other node")
        seen.withheld_in = {"HEARTBEAT"}
        await until(lambda: not one.get_registry().nodes["two"].available, "its loss")


async def test_a_node_cannot_be_made_to_vanish_by_what_it_publishes(
    namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Seen()
    seen.withheld_out = {"DISCOVER", "INFO", "HEARTBEAT"}
    options: dict[str, Any] = {"transporter": "memory", "namespace": namespace}
    one = Broker("one", middlewares=[seen], **options)
    one.create_service({"name": "mirror", "actions": {"echo": echo}})
    async with one, Broker("two", **options) as two:
        await two.wait_for_services("mirror", 5000)
        assert await two.call("mirror.echo", 1) == 1
    assert "has withheld DISCOVER" in caplog.text


def odd(what: str) -> dict[str, Any]:
    """A middleware whose hook does what it may not, to calls."""

    def hook(next: Next) -> Next:
        async def waits(packet: Packet) -> None:
            next(packet)

        def twice(packet: Packet) -> None:
            next(packet)
            next(packet)

        def turned(packet: Packet) -> None:
            packet.target = "another"
            next(packet)

        def unwritable(packet: Packet) -> None:
            packet.payload["params"] = object()
            next(packet)

        def fails(packet: Packet) -> None:
            raise LookupError("a mistake")

        chosen = {"waits": waits, "twice": twice, "turned": turned, "unwritable": unwritable, "fails": fails}[what]
        return lambda packet: chosen(packet) if packet.type == "REQ" else next(packet)

    return {"transit_publish": hook}


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("waits", "plain function"),
        ("twice", "more than once"),
        ("turned", "payload alone"),
        ("unwritable", "cannot cross"),
        ("fails", "a mistake"),
    ],
)
async def test_a_hook_that_does_what_it_may_not_makes_the_call_fail(namespace: str, what: str, why: str) -> None:
    options: dict[str, Any] = {"transporter": "memory", "namespace": namespace}
    one, two = Broker("one", **options), Broker("two", middlewares=[odd(what)], **options)
    one.create_service({"name": "mirror", "actions": {"echo": echo}})
    async with one, two:
        await two.wait_for_services("mirror", 5000)
        with pytest.raises(IronbridgeError, match=why):
            await two.call("mirror.echo", 1)


async def test_a_hook_may_send_something_itself(namespace: str) -> None:
    seen: list[str] = []
    options: dict[str, Any] = {"transporter": "memory", "namespace": namespace}

    class Asks:
        """Pings at each call, from within its hook."""

        def created(self, broker: Broker) -> None:
            self._broker = broker

        def transit_publish(self, next: Next) -> Next:
            def publish(packet: Packet) -> Any:
                seen.append(packet.type)
                if packet.type == "REQ":
                    self._broker._node.ping("one")
                return next(packet)

            return publish

    one, two = Broker("one", **options), Broker("two", middlewares=[Asks()], **options)
    one.create_service({"name": "mirror", "actions": {"echo": echo}})
    async with one, two:
        await two.wait_for_services("mirror", 5000)
        assert await two.call("mirror.echo", 1) == 1
    assert seen[seen.index("REQ") :][:2] == ["REQ", "PING"]


async def test_calls_at_once_do_not_mix(at_redis: Meeting) -> None:
    threads: set[int] = set()

    def noted(packet: Packet) -> None:
        threads.add(threading.get_ident())

    async with Met(at_redis) as met:
        met.seen.change_out = met.seen.change_in = noted
        answers = await asyncio.gather(*(met.broker.call("math.add", {"a": n, "b": 1}) for n in range(200)))
    assert answers == [n + 1 for n in range(200)]
    assert threads


def test_without_such_hooks_packets_are_not_read_for_anybody(namespace: str) -> None:
    options: dict[str, Any] = {"transporter": "memory", "namespace": namespace}
    assert transforming(Broker("one", **options)) is None
    compressing = Compression()
    changed = transforming(Broker("two", middlewares=[compressing], **options))
    # The bytes go through its function alone, whatever they are.
    assert changed is not None and changed.outgoing("MOL.REQ.x", b"no packet")[:1] == b"\0"
    assert changed.outgoing.__qualname__.startswith("Compression.")
