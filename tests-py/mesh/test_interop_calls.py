"""Calls between our node and Moleculer.js's, both ways: contexts, time, what may be called, and what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import pytest
import pytest_asyncio
from ironbridge.mesh import RequestSkippedError, RequestTimeoutError, ServiceNotFoundError

from mesh.marks import UNDEFINED
from mesh.nodes import EVERYWHERE, OURS, THEIRS, Met, meet, meeting_at, until
from mesh.services import lab

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=EVERYWHERE, ids="-".join)
async def met(request: pytest.FixtureRequest) -> AsyncIterator[Met]:
    protocol, server = request.param
    theirs = ["math", "versions", "who", "errors", "chain", "slow", "visibility", "values"]
    services = ["py-math", "py-chain", "py-slow", "py-guarded", "py-errors", "py-values"]
    with ExitStack() as started:
        place = meeting_at(request, server, started)
        async with meet(place, protocol, theirs=theirs, services=services, schemas=[lab()]) as met:
            yield met


async def test_a_chain_of_calls_keeps_its_request_and_counts_its_levels(met: Met) -> None:
    path = ["py-chain.relay", "chain.relay", "py-chain.relay", "chain.relay"]
    contexts = await met.broker.call("chain.relay", {"path": path}, meta={"user": "bob"}, request_id="mine")
    assert [one["level"] for one in contexts] == [1, 2, 3, 4, 5]
    assert {one["requestID"] for one in contexts} == {"mine"}
    assert [one["sender"] for one in contexts] == [OURS, THEIRS, OURS, THEIRS, OURS]
    assert [one["parentID"] for one in contexts] == [None, *(one["id"] for one in contexts[:-1])]
    assert all(one["meta"] == {"user": "bob"} for one in contexts)


async def test_the_caller_is_the_full_name_of_the_calling_service(met: Met) -> None:
    given = {"ms": 0, "action": "chain.context"}
    told = await met.js_calls("v2.py-lab.late", given)
    assert told["caller"] == "v2.py-lab"
    assert (await met.broker.call("chain.context", caller="me"))["caller"] == "me"
    assert (await met.js_calls("py-chain.context", caller="me"))["caller"] == "me"
    assert (await met.broker.call("chain.context"))["caller"] is None


async def test_what_is_left_of_the_time_goes_along(met: Met) -> None:
    given = {"ms": 150, "action": "chain.context"}
    left = (await met.js_calls("v2.py-lab.late", given, timeout=5000))["timeout"]
    assert 4000 < left <= 4850
    # Who waits for less within a call waits for less.
    less = await met.js_calls("v2.py-lab.late", {**given, "options": {"timeout": 1000}}, timeout=5000)
    assert less["timeout"] == 1000
    more = await met.js_calls("v2.py-lab.late", {**given, "options": {"timeout": 9000}}, timeout=5000)
    assert more["timeout"] <= 4850


async def test_a_callee_answers_by_itself_when_its_time_is_over(met: Met) -> None:
    ours = await met.stranger_asks(OURS, "py-slow.wait", params={"ms": 5000}, timeout=100)
    theirs = await met.stranger_asks(THEIRS, "slow.wait", params={"ms": 5000}, timeout=100)
    for answer, node, action in ((ours, OURS, "py-slow.wait"), (theirs, THEIRS, "slow.wait")):
        error = answer["error"]
        assert (error["name"], error["code"], error["type"]) == ("RequestTimeoutError", 504, "REQUEST_TIMEOUT")
        # As Moleculer has it, the data names the node that waited.
        assert (error["data"], error["nodeID"]) == ({"action": action, "nodeID": "far"}, node)
        assert error["retryable"] is True
        assert answer["success"] is False


async def test_a_handler_whose_caller_waits_no_longer_is_cancelled_and_calls_nobody(met: Met) -> None:
    ended: list[BaseException] = []

    async def too_late(ctx: Any) -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError as cancelled:
            ended.append(cancelled)
            try:
                await ctx.call("values.echo", {"sent": "too late"})
            except RequestSkippedError as error:
                ended.append(error)

    service = met.broker.create_service({"name": "py-tardy", "actions": {"call": too_late}})
    await met.ask(met.js.ask, "waitForServices", services=["py-tardy"])
    error = await met.js_fails("py-tardy.call", timeout=80)
    assert error.name == "RequestTimeoutError"
    await until(lambda: len(ended) == 2, "the end of the handler")
    assert met.tap.find("REQ", params={"sent": "too late"}) == []
    await met.broker.destroy_service(service)


async def test_callers_keep_the_time_that_an_action_publishes(met: Met) -> None:
    with pytest.raises(RequestTimeoutError):
        await met.broker.call("slow.patient", {"ms": 2000})
    error = await met.js_fails("v2.py-lab.patient", {"ms": 2000})
    assert (error.name, error.data["action"]) == ("RequestTimeoutError", "v2.py-lab.patient")
    assert (await met.says("REQ", OURS, action="v2.py-lab.patient"))["timeout"] == 200
    assert await met.js_calls("v2.py-lab.patient", {"ms": 300}, timeout=5000) == "done"
    assert (await met.says("REQ", THEIRS, action="slow.patient"))["timeout"] == 200


async def test_meta_comes_back_and_the_callee_s_wins(met: Met) -> None:
    answer = await met.ask(met.js.called, "py-chain.sets", {"a": 2, "b": 3}, meta={"a": 1, "kept": [1]})
    assert answer.result == {"a": 1, "kept": [1]}
    assert answer.context["meta"] == {"a": 2, "b": 3, "kept": [1]}
    for first, second in (("chain.after", "py-chain.sets"), ("py-chain.after", "chain.sets")):
        told = await met.broker.call(first, {"action": second, "params": {"a": 2}}, meta={"a": 1, "kept": None})
        assert (told["result"], told["meta"]) == ({"a": 1, "kept": None}, {"a": 2, "kept": None})


async def test_meta_comes_back_with_an_error_too(met: Met) -> None:
    for first, second in (("chain.after", "py-errors.raise"), ("py-chain.after", "errors.raise")):
        wish = {"kind": "MoleculerClientError", "meta": {"seen": True}}
        told = await met.broker.call(first, {"action": second, "params": wish}, meta={"mine": 1})
        assert told["meta"] == {"seen": True, "mine": 1}
    js_node = met.js
    number = js_node.begin_call("py-errors.raise", {"kind": "MoleculerError", "meta": {"seen": 1}}, meta={"mine": 1})
    failing = await met.ask(
        js_node.wait, "failing", ctx={**(await _context(met, number)), "meta": {"mine": 1, "seen": 1}}
    )
    assert failing["action"] == "py-errors.raise"


async def _context(met: Met, number: int) -> dict[str, Any]:
    """The context with which a call that fails was made."""
    await met.ask(met.js.wait, "done", number=number)
    found: dict[str, Any] = met.js.events("failing")[-1]["ctx"]
    return found


async def test_what_is_protected_is_called_by_its_own_node_alone(met: Met) -> None:
    assert await met.js_calls("py-guarded.public") == "public"
    assert await met.js_calls("py-guarded.inside") == ["protected", "private"]
    for name in ("protected", "private"):
        error = await met.js_fails(f"py-guarded.{name}")
        assert (error.name, error.data["action"]) == ("ServiceNotFoundError", f"py-guarded.{name}")
        with pytest.raises(ServiceNotFoundError):
            await met.broker.call(f"guarded.{name}")
        told = await met.js_fails(f"py-guarded.{name}", nodeID=OURS)
        assert told.name == "ServiceNotFoundError"
    assert await met.broker.call("py-guarded.protected") == "protected"
    with pytest.raises(ServiceNotFoundError):
        await met.broker.call("py-guarded.private")


@pytest.mark.parametrize("visibility", ["private", "protected"])
async def test_a_stranger_that_asks_for_them_gets_what_moleculer_says(met: Met, visibility: str) -> None:
    ours = await met.stranger_asks(OURS, f"py-guarded.{visibility}")
    theirs = await met.stranger_asks(THEIRS, f"guarded.{visibility}")
    assert ours["success"] == theirs["success"]
    assert ours.get("data") == theirs.get("data")
    assert ours.get("error", {}).get("name") == theirs.get("error", {}).get("name")


async def test_an_action_that_nobody_has_is_not_found_at_either_end(met: Met) -> None:
    for node in (OURS, THEIRS):
        answer = await met.stranger_asks(node, "no.such")
        error = answer["error"]
        assert (error["name"], error["code"], error["type"]) == ("ServiceNotFoundError", 404, "SERVICE_NOT_FOUND")
        assert (error["data"], error["retryable"]) == ({"action": "no.such", "nodeID": node}, True)
        assert error["message"] == f"Service 'no.such' is not found on '{node}' node."
    theirs, ours = await met.js_fails("no.such"), await met.py_fails("no.such")
    assert (ours.name, ours.code, ours.type, ours.data) == (theirs.name, theirs.code, theirs.type, theirs.data)
    assert ours.message == theirs.message
    theirs, ours = await met.js_fails("who.am", nodeID="nobody"), await met.py_fails("who.am", node_id="nobody")
    assert (ours.name, ours.message, ours.data) == (theirs.name, theirs.message, theirs.data)


async def test_the_least_request_that_moleculer_accepts_is_answered(met: Met) -> None:
    assert (await met.stranger_asks(OURS, "v2.py-lab.who"))["data"] == OURS
    beyond = {"unknown": {"a": [1]}, "needAck": None, "headers": None, "level": None, "caller": 7, "requestID": None}
    assert (await met.stranger_asks(OURS, "v2.py-lab.who", **beyond))["data"] == OURS


@pytest.mark.parametrize("params", [{}, [], [1, None], "text", "", 7, 0, 1.5, True, False, {"none": None}], ids=repr)
async def test_parameters_of_every_kind_arrive(met: Met, params: Any) -> None:
    assert (await met.js_calls("v2.py-lab.got", params))["params"] == params
    assert await met.broker.call("values.echo", params) == params


async def test_parameters_that_are_not_given_are_an_empty_object(met: Met) -> None:
    assert (await met.js_calls("v2.py-lab.got", UNDEFINED))["params"] == {}
    assert (await met.broker.call("values.got"))["kind"] == "object"
    assert (await met.js_calls("v2.py-lab.got", None))["kind"] == "NoneType"


async def test_many_calls_at_once_are_answered_each_with_its_own(met: Met) -> None:
    calls = [{"action": "v2.py-lab.got", "params": {"n": n}} for n in range(200)]
    answers = await met.ask(met.js.ask, "mcall", calls=calls)
    assert [one["params"]["n"] for one in answers] == list(range(200))
    mine = await asyncio.gather(*(met.broker.call("values.echo", {"n": n}) for n in range(200)))
    assert [one["n"] for one in mine] == list(range(200))


async def test_several_calls_in_one_fail_together_or_are_settled(met: Met) -> None:
    calls = {"good": {"action": "who.am"}, "bad": {"action": "errors.raise", "params": {"kind": "MoleculerError"}}}
    settled = await met.broker.mcall(calls, settled=True)
    assert settled["good"] == {"status": "fulfilled", "value": THEIRS}
    assert (settled["bad"]["status"], settled["bad"]["reason"].code) == ("rejected", 501)
    theirs = await met.js_calls(
        "v2.py-lab.many", {"calls": {"a": {"action": "who.am"}, "b": {"action": "v2.py-lab.who"}}}
    )
    assert theirs == {"a": THEIRS, "b": OURS}


async def test_headers_go_with_one_call_alone_in_protocol_5(met: Met) -> None:
    got = await met.js_calls("v2.py-lab.got", {}, headers={"h": "v"})
    assert got["headers"] == ({"h": "v"} if met.protocol == "5" else {})
    told = await met.broker.call("chain.context", headers={"h": "v"})
    assert told.get("headers") == ({"h": "v"} if met.protocol == "5" else None)
    within = {"ms": 0, "action": "chain.context"}
    assert (await met.js_calls("v2.py-lab.late", within, headers={"h": "v"})).get("headers") in (None, {})


async def test_a_version_s_actions_are_called_by_their_full_names(met: Met) -> None:
    assert await met.js_calls("v2.py-math.add", {"a": 1, "b": 2}) == 3
    assert await met.js_calls("staging.py-math.add", {"a": 1, "b": 2}) == "staging 3"
    assert await met.js_calls("py-bare.who") == "ours"
    assert await met.broker.call("v2.math.add", {"a": 1, "b": 2}) == 3
    assert await met.broker.call("staging.math.add", {"a": 1, "b": 2}) == "staging 3"
    assert (await met.js_fails("v3.py-math.add")).name == "ServiceNotFoundError"
