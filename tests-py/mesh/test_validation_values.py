"""Numbers, times, keys, null, and the actual values that are told: what fastest-validator 1.19.1 says, recorded."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
from ironbridge._mesh.validation.javascript import number, text
from ironbridge._mesh.validation.validator import Validator

from mesh.verdicts import Errors, said

# ---- numbers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (-0.0, "0"),
        (1.5, "1.5"),
        (100.0, "100"),
        (2**53, "9007199254740992"),
        (2**53 + 1, "9007199254740992"),
        (-(2**63), "-9223372036854776000"),
        (1e20, "100000000000000000000"),
        (1.2345678901234568e20, "123456789012345680000"),
        (1e21, "1e+21"),
        (10**25, "1e+25"),
        (-1.5e300, "-1.5e+300"),
        (10**400, "Infinity"),
        (-(10**400), "-Infinity"),
        (0.00001234, "0.00001234"),
        (1e-6, "0.000001"),
        (1.5e-7, "1.5e-7"),
        (5e-324, "5e-324"),
        (123.456, "123.456"),
        (math.nan, "NaN"),
    ],
)
def test_numbers_are_written_as_javascript_writes_them(value: float, shown: str) -> None:
    assert text(value) == shown
    errors = Validator().validate({"v": value}, {"v": {"type": "string", "messages": {"string": "{actual}"}}})
    assert errors is not None and errors[0]["message"] == shown


@pytest.mark.parametrize("value", ["٣", "1_0", "0x", "0x_1", "0x+1", "+0x10", "\x1c1", "--1", "1n", "1e", "in"])
def test_what_is_no_number_in_javascript_is_none_here(value: str) -> None:
    assert math.isnan(number(value))
    assert said(Validator().validate({"v": value}, {"v": "number|convert"})) == [("number", "v", value)]


@pytest.mark.parametrize(
    ("value", "read"),
    [("0X1f", 31), ("0b11", 3), ("0o17", 15), ("\ufeff1\u00a0", 1), ("", 0), ("\n", 0), ("5.", 5), (".5", 0.5)],
)
def test_what_is_a_number_in_javascript_is_one_here(value: str, read: float) -> None:
    params = {"v": value}
    assert Validator().validate(params, {"v": "number|convert"}) is None
    assert params == {"v": read}


def test_numbers_beyond_all_doubles_are_infinite_and_others_stay_exact() -> None:
    assert said(Validator().validate({"v": 10**400}, {"v": "number"})) == [("number", "v", 10**400)]
    params = {"v": 2**63 + 1}
    assert Validator().validate(params, {"v": "number|integer|min:1"}) is None
    assert params == {"v": 2**63 + 1}


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [(1.9, 1), (-1.9, -1), (True, 1), (".5", 0), (" 12 ", 12), (1700000000001, 1700000000001)],
)
def test_times_are_whole_milliseconds(value: Any, milliseconds: int) -> None:
    params = {"v": value}
    assert Validator().validate(params, {"v": "date|convert"}) is None
    assert round(params["v"].timestamp() * 1000) == milliseconds


# ---- keys, null, and what is told ----------------------------------------------------------------------------------


def test_keys_that_are_no_texts_are_read_as_javascript_has_them() -> None:
    assert said(Validator().compile({1: "string", "$$strict": True})({"1": 2, 3: 4})) == [
        ("string", "1", 2),
        ("objectStrict", None, "3"),
    ]
    params = {"v": {1: "a", 2.5: "b"}}
    assert Validator().validate(params, {"v": {"type": "record", "key": "string", "value": "string"}}) is None
    assert params == {"v": {"1": "a", "2.5": "b"}}
    assert said(Validator().validate({"v": {True: 1}}, {"v": {"type": "record", "key": "string|numeric"}})) == [
        ("stringNumeric", "v.true", "true")
    ]


@pytest.mark.parametrize(
    ("rules", "params", "errors"),
    [
        ({"v": "string"}, None, [("required", None, None)]),
        ({"v": "string|optional"}, None, [("required", None, None)]),
        ({"$$root": True, "type": "string"}, None, [("required", None, None)]),
        ({"$$root": True, "type": "number", "optional": True}, None, []),
        ({"$$root": True, "type": "object", "nullable": True}, None, []),
        (["string", "number"], None, [("required", None, None)]),
        ({"v": "string"}, [], [("object", None, [])]),
        ({"v": "string"}, "x", [("object", None, "x")]),
        ({"v": "string"}, {"v": None}, [("required", "v", None)]),
        ({"v": "string"}, {}, [("required", "v", "-")]),
        # Of a part that is null, the whole is told.
        ({"v": "number[]"}, {"v": [1, "2", None]}, [("number", "v[1]", "2"), ("required", "v", None)]),
        (
            {"v": {"type": "tuple", "items": ["number", "number"]}},
            {"v": [None, "x"]},
            [("required", "v", None), ("number", "v[1]", "x")],
        ),
        ({"v": {"type": "record", "value": "number"}}, {"v": {"a": None}}, [("required", "v", None)]),
        # What is told is the value as it came, and where a size is wrong, the size.
        ({"v": {"type": "string", "trim": True, "length": 3}}, {"v": " ab "}, [("stringLength", "v", 2)]),
        ({"v": {"type": "string", "trim": True, "alpha": True}}, {"v": " a1 "}, [("stringAlpha", "v", " a1 ")]),
        ({"v": {"type": "string", "singleLine": True}}, {"v": "a\nb"}, [("stringSingleLine", "v", "-")]),
        ({"v": {"type": "number", "convert": True, "min": 5}}, {"v": "1"}, [("numberMin", "v", "1")]),
        ({"v": {"type": "array", "min": 3}}, {"v": [1]}, [("arrayMin", "v", 1)]),
        ({"v": {"type": "array", "enum": [1]}}, {"v": [1, 2]}, [("arrayEnum", "v", 2)]),
        ({"v": {"type": "object", "minProps": 2}}, {"v": {"a": 1}}, [("objectMinProps", "v", 1)]),
        ({"$$strict": True, "v": "any"}, {"v": 1, "x": 1, "y": 2}, [("objectStrict", None, "x, y")]),
    ],
)
def test_what_is_told_of_a_value_is_what_fastest_validator_tells(rules: Any, params: Any, errors: Errors) -> None:
    assert said(Validator().compile(rules)(copy.deepcopy(params))) == errors
