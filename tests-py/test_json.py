"""JSON beside the standard library's: what one writes the other reads, and both read the same texts, to equal values."""

from __future__ import annotations

import collections
import enum
import gc
import json
import math
import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from bridge.value_samples import resident
from hypothesis import given
from hypothesis import strategies as st
from ironbridge._engine import json_decode, json_encode
from ironbridge.errors import PayloadError

MUTATIONS = int(os.environ.get("MUTATIONS", "200000"))

any_text = st.text(st.characters())  # lone surrogates, too
scalars = st.none() | st.booleans() | st.integers() | st.floats() | any_text
keys = any_text | st.none() | st.booleans() | st.integers() | st.floats()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(keys, inner),
    max_leaves=30,
)


def same(one: Any, other: Any) -> bool:
    """Equal, and of equal types all the way down; NaN is itself, and zeros have signs."""
    return repr(one) == repr(other)


def loads(text: str) -> Any:
    """What the library reads, in a list; `None` when it refuses."""
    try:
        return [json.loads(text)]
    except ValueError:
        return None


def decode(data: bytes | str) -> Any:
    """The same of ours."""
    try:
        return [json_decode(data, max_depth=512)]
    except PayloadError:
        return None


# Writing.


@given(values)
def test_the_library_reads_what_is_written_as_what_it_wrote_itself(value: Any) -> None:
    assert same(json.loads(json_encode(value)), json.loads(json.dumps(value)))


@given(values)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert same(json_decode(json_encode(value)), json.loads(json.dumps(value)))


@given(st.floats())
def test_floats_are_written_as_repr_writes_them(number: float) -> None:
    assert json_encode(number).decode() == json.dumps(number)


def test_floats_at_every_power_are_written_as_repr_writes_them() -> None:
    powers = [math.ldexp(1, power) for power in range(-1074, 1024)]
    powers += [float(f"1e{power}") for power in range(-323, 309)]
    for power in powers:
        for number in (power, -power, math.nextafter(power, 0), math.nextafter(power, math.inf), power * 1.1):
            text = json_encode(number).decode()
            assert text == json.dumps(number)
            assert same(json_decode(text), number)


@pytest.mark.parametrize("power", [31, 53, 62, 63, 64, 65, 128, 4_000])
def test_ints_of_any_size_go_both_ways(power: int) -> None:
    for number in (2**power, 2**power - 1, -(2**power), -(2**power) - 1):
        assert json_encode(number) == str(number).encode()
        assert same(json_decode(str(number)), number)


def test_digits_are_bounded_as_those_of_int_are() -> None:
    limit = sys.get_int_max_str_digits()
    assert same(json_decode("9" * limit), 10**limit - 1)
    with pytest.raises(PayloadError, match=r"byte 1: ValueError: Exceeds the limit"):
        json_decode("[" + "9" * (limit + 1))
    with pytest.raises(PayloadError, match=r"value\['x'\]: .*Exceeds the limit"):
        json_encode({"x": 10**limit})
    assert same(json_decode("9" * (limit + 1) + ".5"), math.inf)


@pytest.mark.parametrize("length", range(40))
def test_an_escape_anywhere_in_a_text_goes_both_ways(length: int) -> None:
    for special in ['"', "\\", "\n", "\x00", "\x1f", "\x7f", "é", "€", "😀", "\ud800", "\udfff", "\ud83d\ude00"]:
        for at in range(length + 1):
            text = "a" * at + special + "b" * (length - at)
            for spelt in (json_encode([text]), json.dumps([text])):
                assert same(json_decode(spelt), json.loads(json.dumps([text])))
            assert same(json.loads(json_encode([text])), json.loads(json.dumps([text])))


class Colour(enum.IntEnum):
    RED = 1


class Word(enum.StrEnum):
    HELLO = "hello"


class Point(NamedTuple):
    x: int
    y: float


class Loud(str):
    def __str__(self) -> str:
        return "LOUD"


class Odd(int):
    def __repr__(self) -> str:
        return "odd"

    __str__ = __repr__


class Half(float):
    def __repr__(self) -> str:
        return "half"


class Shown(dict[str, int]):
    def items(self) -> Any:
        return [("shown", 1), ("shown", 2)]


class Hidden(list[int]):
    def __iter__(self) -> Iterator[int]:
        return iter([0])


@pytest.mark.parametrize(
    "value",
    [
        Colour.RED, Word.HELLO, Point(1, 2.5), Loud("a"), Odd(7), Odd(2**70), Half(0.5), Shown(a=1), Shown(),
        Hidden([1, 2]), Hidden(), collections.OrderedDict(b=1, a=2), collections.Counter("abca"),
        collections.defaultdict(list, {"x": [1]}), True, (), [], {}, ((1,), [2]),
        {Colour.RED: 1, Word.HELLO: 2, Loud("a"): 3, Half(0.5): 4, Odd(2**70): 5, Loud("\ud800"): 6},
        {1: 1, "1": 2, 1.5: 3, None: 4, False: 5, math.nan: 6, math.inf: 7, 2**70: 8, 1e16: 9},
    ],
    ids=repr,
)  # fmt: skip
def test_what_derives_from_a_type_of_json_is_written_as_the_library_does(value: Any) -> None:
    assert json_encode(value).decode() == json.dumps(value, separators=(",", ":"))


def test_an_ordered_dict_keeps_the_order_it_shows() -> None:
    value = collections.OrderedDict(a=1, b=2)
    value.move_to_end("a")
    assert json_encode(value) == b'{"b":2,"a":1}'


class Socket:
    pass


class Broken(dict[str, int]):
    def items(self) -> Any:
        raise LookupError("no items today")


class Single(dict[str, int]):
    def items(self) -> Any:
        return ["ab"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"x": [1, 2, 3, Socket()]}, r"value\['x'\]\[3\]: Socket cannot be written as JSON; give str, int"),
        ([{1, 2}], r"value\[0\]: set .*make a list of it"),
        (({None: b"x"},), r"value\[0\]\[None\]: bytes .*base64"),
        (Socket, r"value: the class Socket itself cannot be written"),
        (Path("x"), r"value: PosixPath cannot be written"),
        (1j, r"value: complex cannot be written"),
        ({"a": {(1, 2): 3}}, r"value\['a'\]\{…\}: tuple cannot be a key in JSON"),
        ([Broken(x=1)], r"value\[0\]: .*LookupError: no items today"),
        ([Single(x=1)], r"value\[0\]: its items\(\) are not pairs"),
    ],
    ids=lambda part: part if isinstance(part, str) else None,
)
def test_what_json_does_not_have_is_refused_with_the_path_to_it(value: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError, LookupError)):
        json.dumps(value)
    with pytest.raises(PayloadError, match=message):
        json_encode(value)


def test_a_date_is_refused_with_advice() -> None:
    import datetime

    with pytest.raises(PayloadError, match=r"datetime cannot be written as JSON; give its isoformat\(\)"):
        json_encode(datetime.datetime(2026, 1, 1))


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append({"x": (value,)})
    with pytest.raises(PayloadError, match=r"nested deeper than 64 levels \(max_depth\); does it contain itself"):
        json_encode(value)


def test_what_is_changed_while_it_is_written_is_refused() -> None:
    class Thief(dict[str, int]):
        def items(self) -> Any:
            taken.clear()
            return super().items()

    for taken in ([Thief(a=1), 2, 3], {"a": Thief(a=1), "b": 2}):  # type: ignore[attr-defined]
        with pytest.raises(PayloadError, match="changed while"):
            json_encode(taken)


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        ([[1]], {"max_depth": 1}),
        ([1, 2, 3], {"max_items": 2}),
        ({"a": 1}, {"max_items": 1}),
        ("x" * 50, {"max_frame": 51}),
    ],
    ids=str,
)
def test_limits_hold_for_writing(value: Any, limit: dict[str, int]) -> None:
    [(name, bound)] = limit.items()
    with pytest.raises(PayloadError, match=name):
        json_encode(value, **limit)
    assert json_encode(value, **{name: bound + 1})


# Reading.


@given(values, st.booleans(), st.sampled_from([None, 0, 3, "\t", " \r\n"]))
def test_what_the_library_writes_is_read_as_it_reads_it(value: Any, ascii_only: bool, indent: Any) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    if all(not 0xD800 <= ord(letter) < 0xE000 for letter in text):
        assert same(json_decode(text), json.loads(text))
        assert same(json_decode(text.encode()), json.loads(text))


TOKENS = [
    *"[]{}:,\"\\-+.eE0123456789 \n\t\r\x00\x1f", "true", "false", "null", "NaN", "Infinity", "-Infinity", "\\u", "\\ud83d",
    "\\ude00", '"a"', '"key":', "1.5e3", "-0", "é", "😀", "\ufeff", "\x7f", "\u2028", "18446744073709551616", "1e999", "\\n", "\\/",
]  # fmt: skip


@given(st.lists(st.sampled_from(TOKENS), max_size=12).map("".join))
def test_both_read_or_refuse_any_row_of_tokens(text: str) -> None:
    assert same(decode(text), loads(text))


@given(st.from_regex(r"\s?-?[0-9]{0,25}\.?[0-9]{0,25}([eE][-+]?[0-9]{0,4})?\s?", fullmatch=True))
def test_both_read_or_refuse_any_number(text: str) -> None:
    assert same(decode(text), loads(text))


@given(st.text(st.sampled_from('\\"ud8Dcb3E0n/x\u00e9'), max_size=20))
def test_both_read_or_refuse_any_escape(text: str) -> None:
    assert same(decode(f'"{text}"'), loads(f'"{text}"'))


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for wrapped in (data, b'"' + data + b'"', b'{"' + data + b'":1}'):
        try:
            text = wrapped.decode()
        except UnicodeDecodeError:
            assert decode(wrapped) is None
        else:
            assert same(decode(wrapped), loads(text))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", r"the text ends where a value belongs, at byte 0"),
        ("[1", r"the text ends where ',' or '\]' belongs, at byte 2"),
        ("[1,]", r"a value belongs here, not '\]', at byte 3"),
        ('{"a" 1}', r"':' belongs here, not '1', at byte 5"),
        ('{"a":1,}', r"a key in quotes belongs here, not '\}', at byte 7"),
        ("{1:2}", r"a key in quotes belongs here, not '1', at byte 1"),
        ("01", r"more follows after the value, at byte 1"),
        ("[-]", r"a digit belongs here, not '\]', at byte 2"),
        ("1.e5", r"a digit belongs here, not 'e', at byte 2"),
        ("1e+", r"the text ends where a digit belongs, at byte 3"),
        ("nul", r"a value belongs here, not 'n', at byte 0"),
        ('"abc', r"a text without an end, at byte 4"),
        ('"a\nb"', r"a control character inside a text, at byte 2"),
        ('"a\\x"', r"an escape that does not exist, at byte 2"),
        ('"\\u12g4"', r"an escape without its four digits, at byte 1"),
        (b'["a\xff"]', r"a text that is not UTF-8, at byte 3"),
        (b'{"\xc3":1}', r"a text that is not UTF-8, at byte 2"),
        (b'["\\n\xff"]', r"a text that is not UTF-8, at byte 4"),
        (b"[\xff]", r"a value belongs here, not the byte 0xff, at byte 1"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_where(data: bytes | str, message: str) -> None:
    with pytest.raises(ValueError):
        json.loads(data)
    with pytest.raises(PayloadError, match=message) as caught:
        json_decode(data)
    assert caught.value.fate == "rejected"


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf1", '"x"'.encode("utf-16"), '"x"'.encode("utf-32-le"), b'"\xed\xa0\x80"', b'"\\ud800\xed\xa0\x80"',
        b'{"\xed\xa0\x80":1}',
    ],
)  # fmt: skip
def test_bytes_are_plain_utf_8_where_the_library_takes_more(data: bytes) -> None:
    json.loads(data)
    with pytest.raises(PayloadError):
        json_decode(data)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")], ids=["list", "dict"])
def test_depth_is_bounded_before_the_stack_is(opening: str, closing: str) -> None:
    assert json_decode(opening * 63 + "[]" + closing * 63)
    with pytest.raises(PayloadError, match="max_depth"):
        json_decode(opening * 64 + "[]" + closing * 64)
    with pytest.raises(PayloadError, match="max_depth"):
        json_decode(opening * 100_000, max_depth=512)


@pytest.mark.parametrize(("text", "items"), [("[1,2,[3]]", 4), ('{"a":1,"b":[2]}', 5)])
def test_items_are_bounded(text: str, items: int) -> None:
    assert same(json_decode(text, max_items=items), json.loads(text))
    with pytest.raises(PayloadError, match="max_items"):
        json_decode(text, max_items=items - 1)


def test_the_last_of_equal_keys_wins() -> None:
    assert json_decode('{"a":1,"b":2,"a":3}') == {"a": 3, "b": 2}


def test_keys_of_any_length_are_told_apart() -> None:
    names = ["k" * length + end for length in range(40) for end in ("", "a", "b", "\x7f", "é", "é" * 9)]
    names += [start + "k" * length for length in range(40) for start in ("a", "b", "ab")]
    rng = random.Random(5)
    names += ["".join(rng.choices("ab", k=rng.randrange(40))) for _ in range(5_000)]
    for _ in range(2):
        for name in names:
            assert json_decode(json.dumps({name: 1}, ensure_ascii=False)) == {name: 1}


def test_a_key_that_comes_again_is_the_same_str() -> None:
    [first], [second] = json_decode('{"a key":1}'), json_decode('{"a key":2}')
    assert first is second


def test_code_that_runs_within_may_read_and_write_too() -> None:
    class Nested(dict[str, int]):
        def items(self) -> Any:
            return json_decode(json_encode({"n": [1, 2]})).items()

    assert json_encode([Nested(a=1)] * 3) == b'[{"n":[1,2]},{"n":[1,2]},{"n":[1,2]}]'

    class Late:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            seen.append(json_decode('{"a":[1,[2,"\\n"]]}'))

    seen: list[Any] = []
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(300):
            Late()
            assert json_decode('[[1,{"a":[2]},"\\t"],[3]]') == [[1, {"a": [2]}, "\t"], [3]]
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert seen == [{"a": [1, [2, "\n"]]}] * 300


# Texts that are almost right, by the hundred thousand.

SEEDS: list[Any] = [
    {"s": "orders", "d": {"id": 17, "price": 1.5, "paid": True, "tags": ["a", "bc"]}, "i": "0123456789abcdef"},
    [0, -1, 2**63, 2**70, 1e16, -1.25e-7, 5e-324, 123456789.123456789, math.inf, -math.inf, math.nan],
    ["é", "€uro", "😀", "\n\t\"\\/", "\ud800", "\x7f", "", "a" * 40],
    {"a": {"b": {"c": [[], {}, [[None]], False]}}, "key of some length": 1, "é": 2, "": 3},
]  # fmt: skip
SEED_TEXTS = [
    text.encode()
    for value in SEEDS
    for text in (json.dumps(value), json.dumps(value, indent=1), json_encode(value).decode())
]
PIECES = [token.encode() for token in TOKENS]


def mutant(rng: random.Random) -> bytes:
    data = bytearray(rng.choice(SEED_TEXTS))
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del data[at : at + rng.randrange(1, 4)]
            case 2:
                data[at:at] = rng.choice(PIECES)
            case 3:
                data[at : at + 1] = rng.choice(PIECES)
            case 4:
                other = rng.choice(SEED_TEXTS)
                data[at:] = other[rng.randrange(len(other)) :]
    return bytes(data)


def storm(count: int, look: Callable[[bytes], None]) -> None:
    """Looks at so many mutants, and sees that the last ones leave no more behind than the first."""
    growths = []
    for quarter in range(4):
        rng = random.Random(quarter)
        before = resident()
        for _ in range(count // 4):
            look(mutant(rng))
        growths.append(resident() - before)
    # Memory comes in steps of a megabyte: what leaks takes one in both quarters.
    assert min(growths[2:]) < 1 << 20


def agree(data: bytes) -> None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        assert decode(data) is None, data
        return
    ours = decode(data)
    assert same(ours, loads(text)), data
    if ours is not None:
        assert same(json_decode(json_encode(ours)), ours), data


def test_mutated_texts_are_read_or_refused_as_the_library_does() -> None:
    storm(MUTATIONS // 4, agree)


def test_mutated_texts_are_read_or_refused_and_nothing_grows() -> None:
    storm(MUTATIONS, decode)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_a_million_mutated_texts() -> None:
    storm(max(MUTATIONS, 1_000_000), agree)
