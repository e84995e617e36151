"""Validation by fastest-validator's rules, compared with the original; by models; and what callers are told."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from harness import Redis
from hypothesis import given
from hypothesis import strategies as st
from ironbridge._mesh.validation.validator import Validator
from ironbridge.mesh import BaseService, Broker, ServiceSchemaError, ValidationError, action
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from mesh.marks import UNDEFINED
from mesh.meeting import Meeting
from mesh.peers import JsError, JsNode

STRINGS = [
    "",
    " ab ",
    "abc",
    "ABC1",
    "a-b_c",
    "deadbeef",
    "xyz",
    "1.5",
    "-3",
    "line\nbreak",
    "YWJj",
    "日本",
    7,
    None,
    True,
    [],
    {},
]
NUMBERS = [0, 1, -1, 1.5, 2**53, "7", " 8 ", "0x10", "", "x", None, True, [3], [], {}, "1e3"]
OTHERS = [None, 0, 1, True, False, "true", "off", "", "a", [], [1, 2, 2], ["a", "b"], {}, {"a": 1}, {"a": "x", "b": 2}]

RULES: dict[str, list[tuple[Any, list[Any]]]] = {
    "any": [("any", OTHERS), ("any|optional", OTHERS)],
    "array": [
        ({"type": "array", "items": "number", "min": 1, "max": 2}, OTHERS),
        ({"type": "array", "unique": True, "empty": False, "length": 3}, OTHERS),
        ({"type": "array", "contains": 2, "convert": True}, OTHERS),
        ({"type": "array", "enum": ["a", "b"]}, OTHERS),
        ("string[]", OTHERS),
    ],
    "boolean": [("boolean", OTHERS), ({"type": "boolean", "convert": True}, [*OTHERS, "1", "0", "on", "yes"])],
    "currency": [
        ({"type": "currency", "currencySymbol": "$"}, ["$12.50", "12.50", "$1,234.00", "-$3", "x"]),
        ({"type": "currency", "currencySymbol": "$", "symbolOptional": True}, ["$12.50", "12.50", "1,23"]),
        ({"type": "currency", "thousandSeparator": ".", "decimalSeparator": ","}, ["1.234,5", "1,5", "12"]),
    ],
    "date": [({"type": "date", "convert": True}, ["2024-02-29T12:30:15.250Z", "no date", "1700000000000", 1700000000000])],
    "email": [
        ("email", ["a@b.co", "a@b", "", 7, None]),
        ({"type": "email", "mode": "precise", "empty": True}, ["a@b.co", "a b@c.de", "", "x@[1.2.3.4]"]),
        ({"type": "email", "normalize": True, "min": 8, "max": 10}, [" Ann@B.co ", "a@b.co", "someone@else.com"]),
    ],
    "enum": [({"type": "enum", "values": ["a", 1, True]}, OTHERS)],
    "equal": [
        ({"type": "equal", "value": 1}, [*OTHERS, "1"]),
        ({"type": "equal", "value": "a", "strict": True}, OTHERS),
        ({"type": "equal", "field": "other"}, ["same", "else"]),
    ],
    "forbidden": [("forbidden", OTHERS), ({"type": "forbidden", "remove": True}, OTHERS)],
    "function": [("function", ["f", 1, None])],
    "luhn": [("luhn", ["4242424242424242", "4242-4242-4242-4243", "0", "", 7])],
    "mac": [("mac", ["01:C8:95:4B:65:FE", "01-c8-95-4b-65-fe", "01C8.954B.65FE", "01C8954B65FE", 1])],
    "multi": [
        (["string", "number"], OTHERS),
        ([{"type": "string", "min": 5}, {"type": "number", "min": 5}], [*OTHERS, 7, "abcdef"]),
        (["string|optional", "boolean|optional"], OTHERS),
        ([{"type": "object", "props": {"a": "number"}}, "string|nullable"], OTHERS),
    ],
    "number": [
        ("number", NUMBERS),
        ({"type": "number", "convert": True}, NUMBERS),
        ("number|min:1|max:7", NUMBERS),
        ("number|integer|positive", NUMBERS),
        ({"type": "number", "negative": True, "notEqual": -1, "equal": -2}, NUMBERS),
    ],
    "object": [
        ({"type": "object", "props": {"a": "number", "b": "string|optional"}}, OTHERS),
        ({"type": "object", "strict": True, "props": {"a": "number"}}, OTHERS),
        ({"type": "object", "strict": "remove", "props": {"a": "any"}}, OTHERS),
        ({"type": "object", "minProps": 1, "maxProps": 1}, OTHERS),
        ({"$$type": "object|optional", "a": {"type": "object", "props": {"x-y": "string"}}}, [*OTHERS, {"a": {"x-y": 1}}]),
    ],
    "record": [
        ({"type": "record", "key": "string|alpha", "value": "number|convert"}, [*OTHERS, {"a1": 3, "b": "7"}]),
        ("record", OTHERS),
    ],
    "string": [
        ("string", STRINGS),
        ("string|min:2|max:3", STRINGS),
        ({"type": "string", "convert": True, "trim": True, "uppercase": True}, STRINGS),
        ({"type": "string", "empty": False, "length": 3}, STRINGS),
        ({"type": "string", "empty": True, "lowercase": True, "padStart": 5, "padChar": "0"}, STRINGS),
        ({"type": "string", "pattern": "^[a-c]+$", "patternFlags": "i"}, STRINGS),
        ({"type": "string", "contains": "b", "enum": ["abc", "b"]}, STRINGS),
        *(({"type": "string", kind: True}, STRINGS) for kind in ("alpha", "alphanum", "alphadash", "numeric", "hex")),
        ({"type": "string", "singleLine": True, "base64": True}, STRINGS),
        ({"type": "string", "nullable": True, "default": "d"}, [*STRINGS, UNDEFINED]),
        ({"type": "string", "optional": True, "padEnd": 4}, [*STRINGS, UNDEFINED]),
        ({"type": "string", "label": "Its name", "messages": {"string": "{field} is odd: {actual}"}}, STRINGS),
    ],
    "tuple": [
        ({"type": "tuple", "items": ["string", "number"]}, [*OTHERS, ["a", 1], ["a", "b"], [1]]),
        ({"type": "tuple", "empty": False}, OTHERS),
    ],
    "url": [("url", ["http://a.b", "https://x", "ftp://x", "", 3]), ({"type": "url", "empty": True}, ["", "http:// "])],
    "uuid": [
        ("uuid", ["10ba038e-48da-487b-96e8-8d3b99b6d18a", "10ba038e-48da-487b-06e8-8d3b99b6d18a", "x", 1]),
        ({"type": "uuid", "version": 4}, ["10ba038e-48da-487b-96e8-8d3b99b6d18a", "10ba038e-48da-187b-96e8-8d3b99b6d18a"]),
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def original(redis: Redis) -> Iterator[JsNode]:
    url = f"redis://{redis.host}:{redis.port}"
    with JsNode("4", url, "oracle", services=[], namespace="validation") as node:
        yield node


def asked(node: JsNode, rules: Any, params: Any) -> tuple[Any, Any]:
    """What the original makes of parameters, and says of them."""
    number = node.begin("validate", rules=rules, params=params)
    done = node.done(number)
    return done["params"], done["errors"]


@pytest.mark.parametrize("kind", RULES)
def test_each_rule_means_what_it_means_to_fastest_validator(original: JsNode, kind: str) -> None:
    for rule, values in RULES[kind]:
        rules = {"value": rule, "other": "any|optional"}
        check = Validator().compile(rules)
        for value in values:
            params = {"value": value, "other": "same"}
            if value is UNDEFINED:
                del params["value"]
            theirs, errors = asked(original, copy.deepcopy(rules), copy.deepcopy(params))
            ours = copy.deepcopy(params)
            found = check(ours) or []
            where = f"{rule!r} of {value!r}"
            assert _alike(found) == _alike(errors), where
            if not errors:
                assert _known(ours) == _known(theirs), where


def _known(params: Any) -> Any:
    """Without what JSON leaves out, and with times as they are."""
    if isinstance(params, dict):
        return {key: _known(value) for key, value in params.items() if value is not UNDEFINED}
    if isinstance(params, datetime):
        return params.timestamp()
    return params


def _alike(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = ("type", "message", "field", "expected", "actual", "label")
    return [{key: error[key] for key in kept if error.get(key) not in (None, UNDEFINED)} for error in errors]


def test_what_is_not_named_is_refused_or_removed_where_the_rules_are_strict(original: JsNode) -> None:
    for strict in (True, "remove"):
        rules = {"$$strict": strict, "id": "number"}
        params = {"id": 1, "more": 2}
        theirs, errors = asked(original, dict(rules), dict(params))
        ours = dict(params)
        assert _alike(Validator().compile(rules)(ours) or []) == _alike(errors)
        assert strict is True or ours == theirs == {"id": 1}


def test_a_class_and_an_object_id_are_checked_by_what_they_are() -> None:
    class Point: ...

    class ObjectID(str):
        @classmethod
        def is_valid(cls, value: Any) -> bool:
            return isinstance(value, str) and len(value) == 24

    validator = Validator()
    assert validator.validate({"at": Point()}, {"at": {"type": "class", "instanceOf": Point}}) is None
    wrong = validator.validate({"at": 1}, {"at": {"type": "class", "instanceOf": Point}})
    assert wrong is not None and wrong[0]["type"] == "classInstanceOf"
    params: dict[str, Any] = {"id": "5f082780b00cc7401fb8e8fc"}
    assert validator.validate(params, {"id": {"type": "objectID", "ObjectID": ObjectID, "convert": True}}) is None
    assert type(params["id"]) is ObjectID
    assert validator.validate({"id": "x"}, {"id": {"type": "objectID", "ObjectID": ObjectID}})


def test_a_check_of_one_s_own_may_change_the_value_and_say_what_is_wrong() -> None:
    def even(value: Any, errors: list[Any], *_: Any) -> Any:
        if value % 2:
            errors.append({"type": "evenNumber", "actual": value})
        return value // 2

    rules = {"n": {"type": "number", "custom": even, "messages": {"evenNumber": "'{field}' is {actual}, which is odd"}}}
    params = {"n": 4}
    assert Validator().validate(params, rules) is None and params == {"n": 2}
    wrong = Validator().validate({"n": 3}, rules)
    assert wrong is not None and wrong[0]["message"] == "'n' is 3, which is odd"


async def test_a_check_of_one_s_own_may_be_asynchronous() -> None:
    async def free(value: Any, errors: list[Any], *_: Any) -> Any:
        await asyncio.sleep(0)
        if value == "taken":
            errors.append({"type": "unique", "message": "it is taken"})
        return value.upper()

    check = Validator().compile({"$$async": True, "name": {"type": "string", "custom": free}})
    params = {"name": "free"}
    assert await check(params) is None and params == {"name": "FREE"}
    assert [one["type"] for one in await check({"name": "taken"})] == ["unique"]


def test_aliases_defaults_and_the_first_error_alone() -> None:
    validator = Validator(
        defaults={"object": {"strict": True}}, aliases={"name": "string|min:3"}, halt_on_first_error=True
    )
    wrong = validator.validate({"a": "x", "b": "y"}, {"a": "name", "b": "name"})
    assert wrong is not None and [one["field"] for one in wrong] == ["a"]
    wrong = validator.validate({"in": {"x": 1, "y": 2}}, {"in": {"type": "object", "props": {"x": "number"}}})
    assert wrong is not None and wrong[0]["type"] == "objectStrict"


def test_null_may_be_a_value() -> None:
    lenient = Validator(consider_null_as_a_value=True)
    assert lenient.validate({"a": None}, {"a": "string"}) is None
    assert lenient.validate({"a": None}, {"a": {"type": "string", "nullable": False}})


@pytest.mark.parametrize(
    "rules", [{"a": "nothing"}, {"a": 3}, {"a": []}, {"a": {"type": "tuple", "items": []}}, "string"]
)
def test_what_is_no_rule_is_refused(rules: Any) -> None:
    with pytest.raises(ServiceSchemaError):
        Validator().compile(rules)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
CHECKS = [Validator().compile({"value": rule}) for kind in RULES for rule, _ in RULES[kind]]


@given(PLAIN)
def test_no_parameters_break_a_check(value: Any) -> None:
    for check in CHECKS:
        check({"value": copy.deepcopy(value)})
        check(copy.deepcopy(value))


# ---- in services -------------------------------------------------------------------------------------------


class Order(BaseModel):
    number: int = Field(ge=1)
    name: str = "nameless"


@dataclass
class Point:
    x: float
    y: float


class Size(TypedDict):
    width: int


class Shop(BaseService):
    name = "shop"

    @action(params={"n": "number|convert", "$$strict": True})
    async def ruled(self, params: Any) -> Any:
        return params

    @action(params=Order)
    async def order(self, params: Any) -> Any:
        return params

    @action()
    async def annotated(self, params: Order) -> str:
        return f"{params.name} {params.number}"

    @action()
    async def point(self, params: Point) -> float:
        return params.x + params.y

    @action()
    async def size(self, params: Size) -> int:
        return params["width"]


async def test_actions_get_what_their_rules_and_models_make_of_the_parameters(namespace: str) -> None:
    broker = Broker("one", transporter="memory", namespace=namespace)
    Shop(broker)
    async with broker:
        assert await broker.call("shop.ruled", {"n": "7"}) == {"n": 7}
        assert await broker.call("shop.order", {"number": 3}) == {"number": 3}
        assert await broker.call("shop.annotated", {"number": "3"}) == "nameless 3"
        assert await broker.call("shop.point", {"x": 1, "y": 2.5}) == 3.5
        assert await broker.call("shop.size", {"width": "4"}) == 4
        for name in ("order", "annotated", "point", "size"):
            with pytest.raises(ValidationError):
                await broker.call(f"shop.{name}", {"number": 0})
        with pytest.raises(ValidationError) as raised:
            await broker.call("shop.ruled", {"n": "x", "m": 1})
    assert raised.value.code == 422
    assert [
        (one["field"], one["type"], one["action"], one["nodeID"]) for one in raised.value.data if "field" in one
    ] == [("n", "number", "shop.ruled", "one")]


async def test_a_javascript_caller_is_told_what_is_wrong_as_by_its_own(at_redis: Meeting) -> None:
    js = await asyncio.to_thread(at_redis.js, "4", "theirs", services=["math"])
    broker = Broker("ours", transporter=at_redis.url, namespace=at_redis.namespace)
    Shop(broker)
    async with broker:
        await asyncio.to_thread(js.meet, "ours")
        with pytest.raises(JsError) as theirs:
            await asyncio.to_thread(js.call, "shop.ruled", {"n": "x"})
        await broker.wait_for_services(["math"], 10_000)
        with pytest.raises(ValidationError) as ours:
            await broker.call("math.sub", {"a": "x", "b": 1})
        info = await asyncio.to_thread(js.ask, "info", node="ours")
    assert (theirs.value.kinds[0], theirs.value.code, theirs.value.type) == ("ValidationError", 422, "VALIDATION_ERROR")
    told: Any = theirs.value.data
    assert set(told[0]) == set(ours.value.data[0])
    shop = next(one for one in info["services"] if one["name"] == "shop")
    assert shop["actions"]["shop.order"]["params"] == {
        "number": {"type": "number", "integer": True, "min": 1},
        "name": {"type": "string", "optional": True},
    }


async def test_a_payload_that_breaks_its_rules_reaches_no_listener(namespace: str) -> None:
    heard: list[Any] = []
    broker = Broker("one", transporter="memory", namespace=namespace)
    broker.create_service(
        {
            "name": "listener",
            "events": {"told": {"params": {"n": "number"}, "handler": lambda ctx: heard.append(ctx.params)}},
        }
    )
    async with broker:
        await broker.emit("told", {"n": "x"})
        await broker.emit("told", {"n": 1})
    assert heard == [{"n": 1}]


async def test_validation_can_be_turned_off(namespace: str) -> None:
    broker = Broker("one", transporter="memory", namespace=namespace, validator=False)
    Shop(broker)
    async with broker:
        assert await broker.call("shop.ruled", {"n": "x"}) == {"n": "x"}
