"""Errors that cross between our node and Moleculer.js's: each is rebuilt as what it was, with all that it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import ironbridge.mesh
import pytest
import pytest_asyncio
from ironbridge.mesh import MoleculerError

from mesh.nodes import CROSSED, OURS, THEIRS, Met, meet, meeting_at
from mesh.services import DATA, errors, lab

pytestmark = pytest.mark.asyncio(loop_scope="module")

BY_NAME = (
    *("MoleculerError", "MoleculerRetryableError", "MoleculerServerError", "MoleculerClientError"),
    *("ServiceNotFoundError", "ServiceNotAvailableError", "ValidationError", "RequestTimeoutError"),
    *("RequestSkippedError", "RequestRejectedError", "QueueIsFullError", "MaxCallLevelError"),
    *("BrokerDisconnectedError", "ServiceSchemaError", "BrokerOptionsError", "GracefulStopTimeoutError"),
    *("ProtocolVersionMismatchError", "InvalidPacketDataError"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=CROSSED, ids="-".join)
async def met(request: pytest.FixtureRequest) -> AsyncIterator[Met]:
    protocol, server = request.param
    with ExitStack() as started:
        place = meeting_at(request, server, started)
        schemas = [errors(OURS), lab()]
        async with meet(
            place, protocol, theirs=["errors", "math", "chain"], services=["py-chain"], schemas=schemas
        ) as met:
            yield met


@pytest.mark.parametrize("kind", BY_NAME)
async def test_an_error_of_moleculer_s_is_of_its_class_at_the_other_side(met: Met, kind: str) -> None:
    error = await met.py_fails("errors.raise", {"kind": kind})
    assert type(error) is getattr(ironbridge.mesh, kind)
    assert (error.name, error.node_id) == (kind, THEIRS)
    told = await met.js_fails("py-failing.raise", {"kind": kind})
    # Moleculer.js makes a plain error of this one, which does not leave its node there.
    made = "Error" if kind == "BrokerDisconnectedError" else kind
    assert (told.kinds[0], told.name, told.node_id) == (made, kind, OURS)
    # Both sides say the same of the same failure, but for the node where it was.
    assert (error.code, error.type, error.retryable) == (told.code, told.type, told.retryable)
    if kind != "GracefulStopTimeoutError":  # which forgets at Moleculer's side what could not be stopped
        assert error.message.replace(f"'{THEIRS}'", f"'{OURS}'") == told.message
        assert _elsewhere(error.data) == told.data


def _elsewhere(data: Any) -> Any:
    """What the error says of the peer, said of us."""
    return {key: OURS if value == THEIRS else value for key, value in data.items()} if isinstance(data, dict) else data


async def test_an_error_brings_its_stack(met: Met) -> None:
    error = await met.py_fails("errors.raise", {"kind": "MoleculerError"})
    assert error.stack is not None and "errors.js" in error.stack
    assert "errors.js" in "".join(error.__notes__)
    await met.js_fails("py-failing.raise", {"kind": "MoleculerError"})
    await met.says("RES", THEIRS, success=False)
    answer = [one.fields for one in met.tap.find("RES", THEIRS, success=False)][-1]
    assert "services.py" in answer["error"]["stack"]


async def test_an_error_that_says_nothing_of_itself_has_moleculer_s_defaults(met: Met) -> None:
    error = await met.py_fails("errors.raise", {"kind": "bare"})
    assert (type(error), error.message, error.code, error.type, error.data, error.retryable) == (
        *(MoleculerError, "It broke", 500, None, None, False),
    )
    told = await met.js_fails("py-failing.raise", {"kind": "bare"})
    assert (told.kinds[0], told.message, told.code, told.type, told.data, told.retryable) == (
        *("MoleculerError", "It broke", 500, None, None, False),
    )


async def test_an_error_of_a_class_that_only_its_node_knows_keeps_its_name_and_fields(met: Met) -> None:
    error = await met.py_fails("errors.raise", {"kind": "OwnError"})
    assert (type(error), error.name) == (MoleculerError, "OwnError")
    assert (error.message, error.code, error.type, error.data) == ("I am a teapot", 418, "TEAPOT", DATA)
    assert error.retryable is False
    told = await met.js_fails("py-failing.raise", {"kind": "OwnError"})
    assert (told.kinds, told.name) == (["Error"], "OwnError")
    assert (told.message, told.code, told.type, told.data) == ("I am a teapot", 418, "TEAPOT", DATA)
    assert told.retryable is False


async def test_a_plain_exception_keeps_its_name_and_message(met: Met) -> None:
    error = await met.py_fails("errors.raise", {"kind": "TypeError"})
    assert (error.name, error.message, error.code, error.type) == ("TypeError", "x is not a function", None, None)
    told = await met.js_fails("py-failing.raise", {"kind": "TypeError"})
    assert (told.name, told.message, told.code, told.type) == ("TypeError", "x is not a function", None, None)


async def test_an_error_s_code_may_be_a_word_as_node_s_own_are(met: Met) -> None:
    error = await met.py_fails("errors.raise", {"kind": "coded"})
    assert (error.name, error.message, error.type, error.data) == ("Error", "coded", "T", 7)
    assert (error.code, error.retryable) == ("ENOENT", True)


@pytest.mark.parametrize(("kind", "message"), [("string", "just text"), ("undefined", "")])
async def test_what_is_thrown_but_is_no_error_is_one_here(met: Met, kind: str, message: str) -> None:
    error = await met.py_fails("errors.raise", {"kind": kind})
    assert (error.name, error.message, error.code, error.node_id) == ("MoleculerError", message, 500, THEIRS)


async def test_an_object_that_is_thrown_says_what_it_holds(met: Met) -> None:
    error = await met.py_fails("errors.raise", {"kind": "object"})
    assert (error.name, error.code) == ("MoleculerError", 500)
    assert "just an object" in error.message


async def test_what_is_wrong_with_parameters_is_listed_alike(met: Met) -> None:
    error = await met.py_fails("math.sub", {"a": "x"})
    assert (error.name, error.code, error.type) == ("ValidationError", 422, "VALIDATION_ERROR")
    # The node is the caller's, as Moleculer has it.
    assert [(one["type"], one["field"], one["nodeID"], one["action"]) for one in error.data] == [
        ("number", "a", OURS, "math.sub"),
        ("required", "b", OURS, "math.sub"),
    ]
    told = await met.js_fails("py-failing.ruled", {"id": -1, "name": "x"})
    assert (told.kinds[0], told.code, told.type) == ("ValidationError", 422, "VALIDATION_ERROR")
    assert told.message == "Parameters validation error!"
    assert [(one["type"], one["field"], one["actual"], one["nodeID"], one["action"]) for one in told.data] == [
        ("numberPositive", "id", -1, THEIRS, "py-failing.ruled"),
        ("stringMin", "name", 1, THEIRS, "py-failing.ruled"),
    ]
    assert [one["message"] for one in told.data] == [
        "The 'id' field must be a positive number.",
        "The 'name' field length must be greater than or equal to 2 characters long.",
    ]


async def test_an_error_that_goes_through_a_node_keeps_where_it_was_raised(met: Met) -> None:
    wish = {"action": "errors.raise", "params": {"kind": "MoleculerClientError"}, "ms": 0}
    told = await met.js_fails("v2.py-lab.late", wish)
    assert (told.kinds[0], told.code, told.node_id, told.data) == ("MoleculerClientError", 422, THEIRS, DATA)
    after = await met.broker.call("chain.after", {"action": "py-failing.raise", "params": {"kind": "MoleculerError"}})
    assert after["error"] == {"name": "MoleculerError", "message": "It broke", "nodeID": OURS}


async def test_an_error_whose_data_cannot_cross_crosses_without(met: Met) -> None:
    told = await met.js_fails("py-failing.odd")
    assert (told.kinds[0], told.code, told.type, told.data) == ("MoleculerError", 500, "ODD", None)


@pytest.mark.parametrize(
    "error",
    [None, "text", [], {}, {"name": 7, "message": ["x"], "code": True}, {"name": "MaxCallLevelError", "data": 7}],
    ids=repr,
)
async def test_errors_that_are_none_are_errors_all_the_same(met: Met, error: object) -> None:
    about = {"ver": met.protocol, "sender": "odd"}
    service = {"name": "odd", "actions": {"k": {"name": "odd.do"}}}
    await met.ask(met.tap.publish, f"{met.meeting.prefix}.INFO", {**about, "services": [service], "instanceID": "i"})
    await met.broker.wait_for_services(["odd"], 10_000)
    met.tap.clear()
    call = asyncio.ensure_future(met.broker.call("odd.do", timeout=5000))
    number = (await met.says("REQ", "odd"))["id"]
    answer = {**about, "id": number, "success": False, "error": error}
    await met.ask(met.tap.publish, f"{met.meeting.prefix}.RES.{OURS}", answer)
    with pytest.raises(MoleculerError) as raised:
        await call
    assert raised.value.node_id == "odd"
    assert isinstance(raised.value.message, str)
