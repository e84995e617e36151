"""Checks of one's own that wait: what fastest-validator 1.19.1 says of the same, recorded (functions cannot be sent to the original)."""

from __future__ import annotations

from typing import Any

import pytest
from ironbridge._mesh.validation.validator import Validator
from ironbridge.mesh import Broker, ServiceSchemaError, ValidationError

from mesh.verdicts import Errors, said, taken


async def mark(value: Any, *_: Any) -> Any:
    return f"{value}!"


def second(value: Any, *_: Any) -> Any:
    return f"{value}2"


async def third(value: Any, errors: list[Any], *_: Any) -> Any:
    if len(value) > 3:
        errors.append({"type": "long"})
    return f"{value}3"


async def one(value: Any, errors: list[Any], *_: Any) -> Any:
    if value != 1:
        errors.append({"type": "one", "expected": 1, "actual": value})
    return value


FREE: dict[str, Any] = {"type": "string", "custom": taken}
CHAIN = {"type": "string", "custom": [mark, second, third], "messages": {"long": "'{field}' is long: {actual}"}}


@pytest.mark.parametrize(
    ("rules", "params", "errors", "after"),
    [
        ({"v": [FREE, "number"]}, {"v": "free"}, [], {"v": "FREE"}),
        ({"v": [FREE, "number"]}, {"v": 3}, [], {"v": 3}),
        ({"v": [FREE, "number"]}, {"v": "taken"}, [("taken", "v", "taken"), ("number", "v", "taken")], {"v": "taken"}),
        ({"v": [FREE, "number"]}, {"v": True}, [("string", "v", True), ("number", "v", True)], {"v": True}),
        ({"v": [FREE, {"type": "string", "max": 5, "custom": mark}]}, {"v": "taken"}, [], {"v": "taken!"}),
        ({"v": [FREE, {"type": "string", "max": 5, "custom": mark}]}, {"v": "longer"}, [], {"v": "LONGER"}),
        (
            {
                "$$strict": "remove",
                "a": FREE,
                "b": {"type": "number", "min": 5},
                "c": {"type": "array", "items": FREE},
                "d": {"type": "object", "optional": True, "props": {"e": FREE}},
            },
            {"a": "taken", "b": 1, "c": ["x", "taken"], "d": {"e": "taken"}, "z": 1},
            [("taken", "a", "taken"), ("numberMin", "b", 1), ("taken", "c", "taken"), ("taken", "d.e", "taken")],
            {"a": "TAKEN", "b": 1, "c": ["X", "TAKEN"], "d": {"e": "TAKEN"}, "z": 1},
        ),
        (
            {"$$strict": "remove", "a": FREE, "c": {"type": "array", "items": FREE}},
            {"a": "free", "c": ["x"], "z": 1},
            [],
            {"a": "FREE", "c": ["X"]},
        ),
        ({"v": CHAIN}, {"v": "a"}, [], {"v": "a!23"}),
        ({"v": CHAIN}, {"v": "ab"}, [("long", "v", "-")], {"v": "ab!23"}),
        ({"v": {"type": "custom", "check": one}}, {"v": 1}, [], {"v": 1}),
        ({"v": {"type": "custom", "check": one}}, {"v": 2}, [("one", "v", 2)], {"v": 2}),
        (
            {
                "v": {"type": "record", "key": "string", "value": FREE},
                "t": {"type": "tuple", "items": ["number", FREE], "optional": True},
            },
            {"v": {"a": "x", "b": "taken"}, "t": [1, "taken"]},
            [("taken", "v", "taken"), ("taken", "t", "taken")],
            {"v": {"a": "X", "b": "TAKEN"}, "t": [1, "TAKEN"]},
        ),
    ],
)
async def test_checks_that_wait_decide_as_those_that_do_not(
    rules: Any, params: Any, errors: Errors, after: Any
) -> None:
    assert said(await Validator().compile({"$$async": True, **rules})(params)) == errors
    assert params == after


async def test_the_first_error_alone_may_be_of_a_check_that_waits() -> None:
    params = {"a": "taken", "b": "taken"}
    check = Validator(halt_on_first_error=True).compile({"$$async": True, "a": FREE, "b": FREE})
    assert said(await check(params)) == [("taken", "a", "taken")]
    assert params == {"a": "TAKEN", "b": "taken"}


def test_a_check_that_waits_is_refused_where_the_rules_do_not() -> None:
    # The original takes such a check's promise for the value, and every value for good.
    with pytest.raises(ServiceSchemaError, match=r"\$\$async"):
        Validator().compile({"v": FREE})({"v": "taken"})


async def test_an_action_whose_rules_wait_is_not_run_with_what_they_refuse(namespace: str) -> None:
    broker = Broker("one", transporter="memory", namespace=namespace)
    rules = {"$$async": True, "name": [FREE, "number"]}
    schema = {"name": "it", "actions": {"act": {"params": rules, "handler": lambda ctx: ctx.params["name"]}}}
    broker.create_service(schema)
    async with broker:
        assert await broker.call("it.act", {"name": "free"}) == "FREE"
        with pytest.raises(ValidationError) as raised:
            await broker.call("it.act", {"name": "taken"})
    assert said(raised.value.data) == [("taken", "name", "taken"), ("number", "name", "taken")]
