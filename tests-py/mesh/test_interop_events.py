"""Events between our node and Moleculer.js's, both ways: who hears them, in which groups, and what goes along."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from mesh.marks import UNDEFINED
from mesh.nodes import CROSSED, OURS, THEIRS, Met, meet, meeting_at, until
from mesh.services import lab, listeners

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Hearing:
    """Both nodes, whose services of the same names are in the same groups; and what ours have heard."""

    met: Met
    ours: list[dict[str, Any]]

    async def heard(self, name: str, count: int) -> list[tuple[str, str, str]]:
        """Node, group and pattern of all who heard an event, when there are so many."""

        def all_of_them() -> list[tuple[str, str, str]]:
            told = [(OURS, one) for one in self.ours if one["name"] == name]
            told += [(THEIRS, one) for one in self.met.js.events("heard", name=name)]
            return sorted((node, one["group"], one["handler"]) for node, one in told)

        await until(lambda: len(all_of_them()) >= count, f"{count} who heard {name}, not {all_of_them()}")
        # Nobody hears it late: what was said before this answer was handled before it.
        await self.met.js_calls("v2.py-lab.who")
        await self.met.broker.call("chain.context")
        return all_of_them()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=CROSSED, ids="-".join)
async def hearing(request: pytest.FixtureRequest) -> AsyncIterator[Hearing]:
    protocol, server = request.param
    heard: list[dict[str, Any]] = []
    with ExitStack() as started:
        place = meeting_at(request, server, started)
        schemas = [lab(), *listeners(heard)]
        async with meet(place, protocol, theirs=["events", "chain"], schemas=schemas) as met:
            await met.ask(
                met.js.ask, "create", name="js-only", events={"only.**": {"group": "far"}, "$told": {}, "far.?.*": {}}
            )
            await met.broker.wait_for_services(["js-only"], 10_000)
            yield Hearing(met, heard)


async def test_of_each_group_one_hears_and_who_tells_prefers_its_own(hearing: Hearing) -> None:
    met = hearing.met
    await met.broker.emit("order.a", {"id": 1})
    assert await hearing.heard("order.a", 2) == [(OURS, "billing", "order.**"), (OURS, "mail", "order.?")]
    await met.ask(met.js.emit, "order.b", {"id": 2})
    assert await hearing.heard("order.b", 2) == [(THEIRS, "billing", "order.**"), (THEIRS, "mail", "order.?")]


async def test_a_group_that_is_elsewhere_alone_hears_it_there(hearing: Hearing) -> None:
    met = hearing.met
    await met.broker.emit("only.x", {"id": 1}, meta={"m": 1})
    assert await hearing.heard("only.x", 2) == [(THEIRS, "far", "only.**"), (OURS, "py-only", "only.**")]
    told = met.js.events("heard", name="only.x")[0]
    assert (told["type"], told["sender"], told["params"], told["meta"]) == ("emit", OURS, {"id": 1}, {"m": 1})
    assert told["groups"] == ["far"]
    await met.ask(met.js.emit, "only.y.z", [1, None], meta={"m": 2})
    await hearing.heard("only.y.z", 2)
    mine = next(one for one in hearing.ours if one["name"] == "only.y.z")
    assert (mine["type"], mine["sender"], mine["params"], mine["meta"]) == ("emit", THEIRS, [1, None], {"m": 2})
    assert (mine["groups"], mine["level"], mine["caller"], mine["parentID"]) == (["py-only"], 1, None, None)


async def test_events_for_some_groups_reach_these_alone(hearing: Hearing) -> None:
    met = hearing.met
    await met.broker.emit("only.groups", {}, groups=["far"])
    assert await hearing.heard("only.groups", 1) == [(THEIRS, "far", "only.**")]
    await met.ask(met.js.emit, "only.grouped", {}, groups="py-only")
    assert await hearing.heard("only.grouped", 1) == [(OURS, "py-only", "only.**")]
    await met.broker.emit("only.one-name", {}, groups="far")
    assert await hearing.heard("only.one-name", 1) == [(THEIRS, "far", "only.**")]
    met.tap.clear()
    await met.broker.emit("only.nobody", {}, groups=["no such group"])
    await met.broker.broadcast("only.nobody", {}, groups=["no such group"])
    await met.broker.ping(THEIRS)
    assert met.tap.find("EVENT") == []


async def test_a_broadcast_is_heard_by_every_service_of_every_node(hearing: Hearing) -> None:
    met = hearing.met
    everywhere = [
        *((OURS, "billing", "user.created"), (OURS, "mail", "user.*"), (OURS, "mail", "user.created")),
        (OURS, "stock", "user.created"),
    ]
    everywhere = sorted([*everywhere, *((THEIRS, group, pattern) for _, group, pattern in everywhere)])
    await met.broker.broadcast("user.created", {"id": 1})
    assert await hearing.heard("user.created", 8) == everywhere
    assert {one["type"] for one in met.js.events("heard", name="user.created")} == {"broadcast"}
    hearing.ours.clear()
    await met.ask(met.js.broadcast, "user.created", {"id": 2})
    await hearing.heard("user.created", 12)
    mine = [one for one in hearing.ours if one["name"] == "user.created"]
    assert len(mine) == 4
    assert {(one["type"], one["sender"], one["params"]["id"]) for one in mine} == {("broadcast", THEIRS, 2)}


async def test_a_broadcast_to_groups_reaches_these_at_every_node(hearing: Hearing) -> None:
    met = hearing.met
    await met.broker.broadcast("order.c", {}, groups=["billing"])
    assert await hearing.heard("order.c", 2) == [(THEIRS, "billing", "order.**"), (OURS, "billing", "order.**")]
    await met.ask(met.js.broadcast, "order.d", {}, groups=["mail"])
    assert await hearing.heard("order.d", 2) == [(THEIRS, "mail", "order.?"), (OURS, "mail", "order.?")]


async def test_what_is_broadcast_locally_does_not_leave_its_node(hearing: Hearing) -> None:
    met = hearing.met
    met.tap.clear()
    await met.broker.broadcast_local("order.e", {"id": 1})
    await met.ask(met.js.ask, "broadcastLocal", name="order.f", params={"id": 2})
    assert await hearing.heard("order.e", 2) == [(OURS, "billing", "order.**"), (OURS, "mail", "order.?")]
    assert await hearing.heard("order.f", 2) == [(THEIRS, "billing", "order.**"), (THEIRS, "mail", "order.?")]
    assert met.tap.find("EVENT") == []
    assert {one["type"] for one in hearing.ours if one["name"] == "order.e"} == {"broadcastLocal"}


@pytest.mark.parametrize(
    ("name", "heard"),
    [
        ("far.a.b", True),
        ("far.ab.c", False),
        ("far.a.b.c", False),
        ("far.a", False),
        ("only.a.b.c.d", True),
        ("only", False),
        ("onlyx.a", False),
    ],
)
async def test_patterns_mean_the_same_at_both_nodes(hearing: Hearing, name: str, heard: bool) -> None:
    met = hearing.met
    pattern = "far.?.*" if name.startswith("far") else "only.**"
    assert (await met.ask(met.js.ask, "match", pattern=pattern, names=[name]))[name] is heard
    met.tap.clear()
    await met.broker.emit(name, {})
    await met.broker.ping(THEIRS)
    await met.says("PING", THEIRS)  # the recorder has all that was sent before it
    assert bool(met.tap.find("EVENT", THEIRS)) is heard


async def test_the_group_of_a_versioned_service_is_its_bare_name(hearing: Hearing) -> None:
    met = hearing.met
    await met.broker.emit("audit.x.y", {}, groups=["audit"])
    assert await hearing.heard("audit.x.y", 1) == [(OURS, "audit", "audit.**")]
    await met.ask(met.js.broadcast, "audit.z", {}, groups=["audit"])
    assert await hearing.heard("audit.z", 2) == [(THEIRS, "audit", "audit.**"), (OURS, "audit", "audit.**")]


async def test_a_call_s_events_belong_to_it(hearing: Hearing) -> None:
    met = hearing.met
    told = await met.js_calls("v2.py-lab.emits", {"name": "only.by.call", "params": "text"}, meta={"of": "call"})
    await hearing.heard("only.by.call", 2)
    got = met.js.events("heard", name="only.by.call")[0]
    assert (got["level"], got["caller"], got["params"], got["meta"]) == (2, "v2.py-lab", "text", {"of": "call"})
    assert (got["parentID"], got["requestID"]) == (told["id"], told["requestID"])
    wish = {"name": "only.by.theirs", "how": "broadcast"}
    back = await met.broker.call("chain.emits", wish, meta={"of": "ours"})
    await hearing.heard("only.by.theirs", 2)
    mine = next(one for one in hearing.ours if one["name"] == "only.by.theirs")
    assert (mine["level"], mine["caller"], mine["meta"], mine["type"]) == (2, "chain", {"of": "ours"}, "broadcast")
    assert (mine["parentID"], mine["requestID"]) == (back["id"], back["requestID"])
    assert mine["params"] is None


async def test_what_is_told_of_arrives_as_it_is(hearing: Hearing) -> None:
    met = hearing.met
    values: list[Any] = [None, 0, "", False, [], {}, "text", {"a": [1, None]}]
    for number, value in enumerate(values):
        await met.broker.emit(f"only.value.py{number}", value)
        got = await met.ask(met.js.wait_event, f"only.value.py{number}")
        assert got["params"] == value and type(got["params"]) is type(value)
        await met.ask(met.js.emit, f"only.value.js{number}", value)
        await hearing.heard(f"only.value.js{number}", 2)
        mine = next(one for one in hearing.ours if one["name"] == f"only.value.js{number}")
        assert mine["params"] == value and type(mine["params"]) is type(value)
    await met.ask(met.js.emit, "only.value.undefined", UNDEFINED)
    await hearing.heard("only.value.undefined", 2)


async def test_headers_go_with_an_event_in_protocol_5(hearing: Hearing) -> None:
    met = hearing.met
    await met.broker.emit("only.headed", {}, headers={"h": "v"})
    got = await met.ask(met.js.wait_event, "only.headed")
    await met.ask(met.js.emit, "only.headed.back", {}, headers={"h": "v"})
    await hearing.heard("only.headed.back", 2)
    mine = next(one for one in hearing.ours if one["name"] == "only.headed.back")
    expected = {"h": "v"} if met.protocol == "5" else {}
    assert (got.get("headers", {}), mine["headers"]) == (expected, expected)


async def test_a_handler_that_fails_harms_neither_node(hearing: Hearing) -> None:
    met = hearing.met
    await met.broker.emit("failing.event", {})
    failed = await met.ask(met.js.wait, "log", level="error")
    assert "handlers may fail" in failed["text"]

    def fails(ctx: Any) -> None:
        raise ValueError("ours may fail, too")

    service = met.broker.create_service({"name": "py-fails", "events": {"py.fails": fails}})
    await met.ask(met.js.ask, "waitForServices", services=["py-fails"])
    await met.ask(met.js.emit, "py.fails", {})
    assert (await met.broker.ping(THEIRS))["nodeID"] == THEIRS
    assert await met.js_calls("v2.py-lab.who") == OURS
    await met.broker.destroy_service(service)


async def test_the_broker_s_own_events_stay_at_their_node(hearing: Hearing) -> None:
    met = hearing.met
    met.tap.clear()
    service = met.broker.create_service({"name": "py-later", "events": {"py.later": lambda ctx: None}})
    await met.ask(met.js.ask, "waitForServices", services=["py-later"])
    assert await met.ask(met.js.wait_local, "$node.updated")
    await met.ask(met.js.ask, "create", name="js-later")
    await until(lambda: any(one["name"] == "$node.updated" for one in hearing.ours), "$node.updated")
    mine = next(one for one in hearing.ours if one["name"] == "$node.updated")
    assert (mine["type"], mine["params"]["node"]["id"]) == ("broadcastLocal", THEIRS)
    assert met.tap.find("EVENT") == []
    await met.broker.destroy_service(service)


async def test_what_begins_with_a_dollar_is_sent_when_it_is_broadcast(hearing: Hearing) -> None:
    met = hearing.met
    await met.broker.broadcast("$told", {"id": 1})
    got = await met.ask(met.js.wait_event, "$told")
    assert (got["params"], got["sender"], got["type"]) == ({"id": 1}, OURS, "broadcast")
