"""Who is there: nodes that come, leave, freeze, die and come back; strangers and twins."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import pytest
from harness import Nats, Redis
from ironbridge.mesh import Broker, RequestRejectedError, ServiceNotAvailableError

from mesh.corpus import captured, differences
from mesh.meeting import Meeting
from mesh.ours import ours
from mesh.peers import PROTOCOLS, JsError, JsNode, Protocol

PATIENCE = 15.0


async def until(seen: Callable[[], Any], what: str) -> None:
    """Returns when `seen()` is true."""
    for _ in range(int(PATIENCE / 0.01)):
        if seen():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{what}: not within {PATIENCE} s")


def there(broker: Broker, node: str) -> bool:
    known = broker.get_registry().nodes.get(node)
    return known is not None and known.available


QUICK: dict[str, Any] = {"heartbeat_interval": 300, "heartbeat_timeout": 900}


async def test_a_node_that_leaves_is_gone_at_once_and_its_calls_end(meeting: Meeting) -> None:
    js = await asyncio.to_thread(meeting.js, "4", "theirs", services=["slow"])
    async with ours(meeting, "4") as broker:
        gone: list[Any] = []
        broker.on("$node.disconnected", lambda payload, *_: gone.append(payload))
        await broker.wait_for_services(["slow"], 10_000)
        call = asyncio.ensure_future(broker.call("slow.hang"))
        await asyncio.to_thread(js.wait, "began")
        await asyncio.to_thread(js.stop)
        with pytest.raises(RequestRejectedError):
            await asyncio.wait_for(call, PATIENCE)
        await until(lambda: gone, "$node.disconnected")
        assert (gone[0]["node"]["id"], gone[0]["unexpected"]) == ("theirs", False)
        with pytest.raises(ServiceNotAvailableError):
            await broker.call("slow.wait")


async def test_a_node_that_is_frozen_or_killed_is_lost_and_one_that_thaws_comes_back(at_redis: Meeting) -> None:
    often = {"heartbeatInterval": 0.3, "heartbeatTimeout": 1, "services": ["who"]}
    one, other = await asyncio.to_thread(lambda: at_redis.all_js("4", "one", "other", **often))
    async with ours(at_redis, "4", **QUICK) as broker:
        await until(lambda: there(broker, "one") and there(broker, "other"), "both peers")
        one.freeze()
        other.kill()
        await until(lambda: not there(broker, "one") and not there(broker, "other"), "their loss")
        with pytest.raises(ServiceNotAvailableError):
            await broker.call("who.am")
        one.thaw()
        await until(lambda: there(broker, "one"), "the one that thawed")
        assert await broker.call("who.am") == "one"
        # Offline twice as long as its heartbeats may stay away, a node is forgotten.
        await until(lambda: "other" not in broker.get_registry().nodes, "the one that was killed")


async def test_our_node_is_lost_when_it_freezes_as_any_other(at_redis: Meeting) -> None:
    js = await asyncio.to_thread(
        lambda: at_redis.js("4", "theirs", heartbeatInterval=0.3, heartbeatTimeout=1, services=["who"])
    )
    broker = ours(at_redis, "4", **QUICK)
    await broker.start()
    await asyncio.to_thread(js.meet, "ours")
    await broker.stop()
    gone = await asyncio.to_thread(js.wait_local, "$node.disconnected")
    assert gone["payload"] == {"unexpected": False}


async def test_a_node_that_starts_again_under_its_id_is_known_anew(meeting: Meeting) -> None:
    async with ours(meeting, "4") as broker:
        for _ in range(2):
            js = await asyncio.to_thread(meeting.js, "4", "theirs", services=["who"])
            instance = js.ready()["instance"]
            await until(lambda instance=instance: _instance(broker) == instance, "the new run")  # type: ignore[misc]
            assert await broker.call("who.instance", node_id="theirs") == instance
            js.kill()


def _instance(broker: Broker) -> str | None:
    known = broker.get_registry().nodes.get("theirs")
    return known.instance_id if known is not None and known.available else None


async def test_services_come_and_go_on_both_sides(meeting: Meeting) -> None:
    js = await asyncio.to_thread(meeting.js, "4", "theirs", services=["who"])
    async with ours(meeting, "4") as broker:
        await broker.wait_for_services(["who"], 10_000)
        service = broker.create_service({"name": "late", "actions": {"hi": lambda ctx: "hi"}})
        await asyncio.to_thread(js.ask, "waitForServices", services=["late"])
        assert await asyncio.to_thread(js.call, "late.hi") == "hi"
        await broker.destroy_service(service)
        await asyncio.to_thread(js.ask, "waitForAction", action="late.hi", nodes=[])
        await asyncio.to_thread(lambda: js.ask("create", name="theirs-late"))
        await broker.wait_for_services(["theirs-late"], 10_000)


async def test_nodes_of_another_namespace_or_version_are_strangers(at_redis: Meeting) -> None:
    def start() -> tuple[JsNode, JsNode]:
        return at_redis.js("4", "elsewhere", namespace="other", services=["who"]), at_redis.js(
            "5", "newer", services=["who"]
        )

    await asyncio.to_thread(start)
    async with ours(at_redis, "4") as broker:
        await until(lambda: broker.stats()["packets_unread"] > 0, "packets of another version")
        assert set(broker.get_registry().nodes) == {"ours"}
    async with ours(at_redis, "5") as newer:
        await newer.wait_for_services(["who"], 10_000)
        assert set(newer.get_registry().nodes) == {"ours", "newer"}


async def test_a_twin_is_told_and_does_no_harm(meeting: Meeting) -> None:
    async with ours(meeting, "4", services=["py-math"]) as broker:
        troubles: list[Any] = []
        broker.on("$transit.error", lambda payload, *_: troubles.append(payload["error"]))
        twin = ours(meeting, "4", services=["py-math"])
        async with twin:
            await until(lambda: broker.stats()["id_conflicts"] > 0, "the conflict")
        await until(lambda: troubles, "what is told of it")
        assert "ours" in str(troubles[0])
        assert await broker.call("py-math.add", {"a": 1, "b": 2}) == 3


@pytest.mark.parametrize("junk", [b"", b"no json", b"[]", b'{"ver":"4"}', b'{"ver":"4","sender":7}', b"\xff\xfe" * 50])
async def test_packets_that_make_no_sense_are_counted_and_survived(at_redis: Meeting, junk: bytes) -> None:
    tap = at_redis.tap()
    async with ours(at_redis, "4", services=["py-math"]) as broker:
        for topic in ("REQ.ours", "RES.ours", "EVENT.ours", "INFO", "HEARTBEAT", "DISCOVER", "PING", "NONSENSE"):
            tap.publish(f"{at_redis.prefix}.{topic}", junk)
        await until(lambda: broker.stats()["packets_unread"] >= 6, "the count of them")
        assert await broker.call("py-math.add", {"a": 1, "b": 2}) == 3


async def test_a_packet_of_more_than_the_bound_is_passed_over(at_redis: Meeting) -> None:
    tap = at_redis.tap()
    async with ours(at_redis, "4", services=["py-math"], max_packet=1 << 20) as broker:
        tap.publish(f"{at_redis.prefix}.REQ.ours", b'"' + b"x" * (20 << 20) + b'"')
        await until(lambda: broker.stats()["packets_unread"] > 0, "the count of it")
        assert broker.stats()["connections"] == 1
        assert await broker.call("py-math.add", {"a": 1, "b": 2}) == 3


async def test_a_packet_of_64_mib_is_survived(at_redis: Meeting) -> None:
    tap = at_redis.tap()
    async with ours(at_redis, "4", services=["py-math"]) as broker:
        # More than Redis keeps for a subscriber (32 MB): it ends the connection, which is made again.
        tap.publish(f"{at_redis.prefix}.REQ.ours", b'"' + b"x" * (64 << 20) + b'"')
        counted = broker.stats
        await until(lambda: counted()["connections"] > 1 or counted()["packets_unread"] > 0, "its end")
        await until(lambda: broker.connected, "the connection")
        assert await broker.call("py-math.add", {"a": 1, "b": 2}) == 3


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_our_packets_have_the_keys_that_moleculer_s_have(at_redis: Meeting, protocol: Protocol) -> None:
    tap = at_redis.tap()
    js = await asyncio.to_thread(at_redis.js, protocol, "theirs", services=["math", "errors", "streams"])
    async with ours(at_redis, protocol, heartbeat_interval=200) as broker:
        await broker.wait_for_services(["math", "errors", "streams"], 10_000)
        await asyncio.to_thread(js.meet, "ours")
        tap.clear()
        await broker.call("math.add", {"a": 1, "b": 2}, meta={"user": "bob"}, timeout=3000)
        await asyncio.to_thread(lambda: js.call("py-math.add", {"a": 1, "b": 2}))
        await asyncio.to_thread(lambda: js.ask("create", name="listener", events={"told.*": {"group": "here"}}))
        await broker.wait_for_services(["listener"], 10_000)
        with pytest.raises(JsError):
            await asyncio.to_thread(js.call, "py-errors.raise", {"kind": "MoleculerClientError"})
        await broker.emit("told.one", {"id": 1})
        await broker.broadcast("told.two", {"id": 1})
        await broker.ping("theirs")
        await asyncio.to_thread(js.ping, "ours")
        await asyncio.to_thread(tap.wait, "HEARTBEAT", sender="ours")
        compared = {
            ("REQ", "action", "math.add"): ("calls", "REQ", lambda one: one.get("stream") is False),
            ("RES", "success", True): ("calls", "RES", lambda one: one["success"] and not one.get("stream")),
            ("RES", "success", False): (
                "errors",
                "RES",
                lambda one: one.get("error", {}).get("name") == "MoleculerClientError",
            ),
            ("EVENT", "event", "told.one"): (
                "events",
                "EVENT",
                lambda one: one["broadcast"] is False and one.get("groups"),
            ),
            ("EVENT", "event", "told.two"): (
                "events",
                "EVENT",
                lambda one: one["broadcast"] is True and "groups" not in one,
            ),
            ("PING", "sender", "ours"): ("ping", "PING", lambda one: True),
            ("PONG", "sender", "ours"): ("ping", "PONG", lambda one: True),
            ("HEARTBEAT", "sender", "ours"): ("life", "HEARTBEAT", lambda one: True),
        }
        for (command, key, value), (scenario, theirs, alike) in compared.items():
            fields: dict[str, Any] = {key: value, "sender": "ours"}
            mine = await asyncio.to_thread(functools.partial(tap.wait, command, **fields))
            kept = next(one for one in captured(protocol, scenario) if one.command == theirs and alike(one.fields))
            ignored = (".params", ".data", ".meta.", ".error.data", ".groups[", ".caller", ".tracing")
            found = [line for line in differences(mine.fields, kept.fields) if not line.startswith(ignored)]
            assert found == [], (command, mine.fields, kept.fields)
    info = tap.wait("INFO", sender="ours").fields
    kept = next(one for one in captured(protocol, "life") if one.command == "INFO")
    assert [
        line
        for line in differences(info, kept.fields)
        if not line.startswith((".services", ".metadata", ".client", ".ipList"))
    ] == []


# ---- balanced by NATS --------------------------------------------------------------------------------------


async def test_nats_shares_calls_and_groups_between_our_nodes_and_theirs(at_nats: Meeting, nats: Nats) -> None:
    js = await asyncio.to_thread(lambda: at_nats.js("4", "theirs", disableBalancer=True, services=[]))
    shared = {"name": "shared", "actions": {"who": lambda ctx: "ours"}}
    broker = ours(at_nats, "4", services=[], disable_balancer=True)
    heard: list[Any] = []
    broker.create_service({**shared, "events": {"some.thing": lambda ctx: heard.append(ctx.params)}})
    async with broker:
        await asyncio.to_thread(
            lambda: js.ask("create", name="shared", actions={"who": {"answer": "theirs"}}, events={"some.thing": {}})
        )
        await asyncio.to_thread(js.meet, "ours")
        await until(lambda: len([one for one in broker.get_services() if one.name == "shared"]) == 2, "both services")
        answers = set()
        for _ in range(200):
            answers.add(str(await broker.call("shared.who", timeout=5000)))
            if len(answers) > 1:
                break
        assert len(answers) == 2
        assert await broker.call("$node.list", node_id="theirs")
        for number in range(20):
            await broker.emit("some.thing", number)
        theirs = lambda: len(js.events("heard", name="some.thing"))  # noqa: E731
        await until(lambda: len(heard) + theirs() == 20, "each event once")


# ---- MessagePack -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_nodes_speak_messagepack_with_each_other(at_redis: Meeting, protocol: Protocol) -> None:
    js = await asyncio.to_thread(lambda: at_redis.js(protocol, "theirs", serializer="MsgPack"))
    async with ours(at_redis, protocol, serializer="msgpack") as broker:
        await broker.wait_for_services(["math", "values"], 10_000)
        await asyncio.to_thread(js.meet, "ours")
        assert await broker.call("math.add", {"a": 1, "b": 2}) == 3
        assert await asyncio.to_thread(js.call, "py-math.add", {"a": 1, "b": 2}) == 3
        assert await broker.call("values.echo", {"text": "日本", "n": [1, 2.5, None]}) == {
            "text": "日本",
            "n": [1, 2.5, None],
        }
        with pytest.raises(Exception, match="It broke"):
            await broker.call("errors.raise", {"kind": "MoleculerError"})


# ---- the transporter restarts ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Redis, Nats])
async def test_nodes_find_each_other_again_when_their_transporter_restarts(
    kind: type[Redis] | type[Nats], started: Any
) -> None:
    with kind() as server:
        meeting = Meeting(server, "restarts", started)
        js = await asyncio.to_thread(meeting.js, "4", "theirs", services=["math", "events"])
        async with ours(meeting, "4", services=["py-math", "py-events"]) as broker:
            await broker.wait_for_services(["math"], 10_000)
            await asyncio.to_thread(js.meet, "ours")
            await asyncio.to_thread(server.restart)
            await until(lambda: broker.stats()["connections"] >= 2, "the next connection")

            async def answers() -> bool:
                try:
                    return bool(await broker.call("math.add", {"a": 1, "b": 2}, timeout=500) == 3)
                except Exception:
                    return False

            for _ in range(200):
                if await answers():
                    break
                await asyncio.sleep(0.05)
            assert await answers()

            def theirs_calls() -> Any:
                for _ in range(100):
                    try:
                        return js.call("py-math.add", {"a": 2, "b": 2}, timeout=500)
                    except Exception:
                        continue
                return None

            assert await asyncio.to_thread(theirs_calls) == 4
            # Exactly one subscription is live: nothing is handled twice.
            heard: list[Any] = broker.heard  # type: ignore[attr-defined]
            heard.clear()
            await asyncio.to_thread(js.broadcast, "user.created", {"id": 9})
            await until(lambda: len(heard) >= 2, "the broadcast")
            await broker.ping("theirs")
            assert len(heard) == 2


async def test_a_call_in_flight_ends_within_its_deadline_when_redis_freezes(started: Any) -> None:
    with Redis() as server:
        meeting = Meeting(server, "frozen", started)
        await asyncio.to_thread(meeting.js, "4", "theirs", services=["math"])
        async with ours(meeting, "4", services=[]) as broker:
            await broker.wait_for_services(["math"], 10_000)
            server.freeze()
            loop = asyncio.get_running_loop()
            began = loop.time()
            with pytest.raises(Exception, match=r"timed out|disconnected"):
                await broker.call("math.add", {"a": 1, "b": 2}, timeout=300)
            assert loop.time() - began < 2
            server.thaw()
