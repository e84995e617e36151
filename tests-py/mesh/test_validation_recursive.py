"""Rules that are within themselves, as those of trees are: what fastest-validator 1.19.1 says of the same, recorded (functions cannot be sent to the original)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ironbridge._mesh.validation.validator import Validator
from ironbridge.mesh import ServiceSchemaError

from mesh.verdicts import Errors, said, taken


def chain() -> dict[str, Any]:
    node: dict[str, Any] = {"type": "object", "optional": True, "props": {"name": "string"}}
    node["props"]["next"] = node
    return {"root": node}


def tree() -> dict[str, Any]:
    rules: dict[str, Any] = {"name": "string"}
    rules["children"] = {"type": "array", "optional": True, "items": {"type": "object", "props": rules}}
    return rules


def short() -> dict[str, Any]:
    rules: dict[str, Any] = {"$$type": "object|optional", "v": "number|convert"}
    rules["left"] = rules["right"] = rules
    return {"tree": rules}


def either() -> dict[str, Any]:
    rules: dict[str, Any] = {"type": "object", "props": {}}
    rules["props"]["items"] = {"type": "multi", "optional": True, "rules": ["string", rules]}
    return {"v": rules}


@pytest.mark.parametrize(
    ("rules", "params", "errors"),
    [
        (chain, {"root": {"name": "a"}}, []),
        (chain, {"root": None}, []),
        (chain, {"root": {"name": "a", "next": {"name": 1}}}, [("string", "root.next.name", 1)]),
        (chain, {"root": {"name": "a", "next": 5}}, [("object", "root.next", 5)]),
        (
            chain,
            {"root": {"name": "a", "next": {"name": "b", "next": {"next": {}}}}},
            [("required", "root.next.next.name", "-"), ("required", "root.next.next.next.name", "-")],
        ),
        (
            tree,
            {"name": "a", "children": [{"name": "b"}, {"name": 2, "children": [{}, 3]}]},
            [
                ("string", "children[1].name", 2),
                ("required", "children[1].children[0].name", "-"),
                ("object", "children[1].children[1]", 3),
            ],
        ),
        (
            tree,
            {"name": "a", "children": [{"name": "b", "children": "x"}]},
            [("array", "children[0].children", "x")],
        ),
        (short, {"tree": {"v": "1", "left": {"v": "2", "right": {"v": "x"}}}}, [("number", "tree.left.right.v", "x")]),
        (either, {"v": {"items": {"items": "y"}}}, []),
        (
            either,
            {"v": {"items": {"items": 4}}},
            [("string", "v.items", {"items": 4}), ("string", "v.items.items", 4), ("object", "v.items.items", 4)],
        ),
    ],
)
def test_rules_may_be_within_themselves(rules: Callable[[], Any], params: Any, errors: Errors) -> None:
    assert said(Validator().compile(rules())(params)) == errors


def test_values_are_converted_wherever_the_rules_lead_to() -> None:
    params = {"tree": {"v": "1", "left": {"v": "2", "right": {"v": "3"}}}}
    assert Validator().compile(short())(params) is None
    assert params == {"tree": {"v": 1, "left": {"v": 2, "right": {"v": 3}}}}


def test_a_value_within_itself_is_looked_at_as_often_as_the_rules_are_met() -> None:
    value: dict[str, Any] = {"name": 1}
    value["next"] = value
    assert said(Validator().compile(chain())({"root": value})) == [
        ("string", "root.name", 1),
        ("string", "root.next.name", 1),
    ]


async def test_rules_within_themselves_may_wait() -> None:
    node = {"type": "object", "optional": True, "props": {"name": {"type": "string", "custom": taken}}}
    node["props"]["next"] = node  # type: ignore[index]
    params = {"root": {"name": "a", "next": {"name": "taken", "next": {"name": "b"}}}}
    wrong = await Validator().compile({"$$async": True, "root": node})(params)
    assert said(wrong) == [("taken", "root.next.name", "taken")]
    assert params["root"]["next"]["next"]["name"] == "B"  # type: ignore[index]


def test_an_alias_within_itself_is_refused() -> None:
    validator = Validator(aliases={"node": {"type": "object", "props": {"next": "node|optional"}}})
    with pytest.raises(ServiceSchemaError, match="too deeply"):
        validator.compile({"root": "node"})
    assert validator.validate({"a": 1}, {"a": "number"}) is None
