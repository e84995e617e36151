"""What cannot cross is refused where it is sent, with the path to it; and every bound holds on both sides."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import socket
import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from bridge.value_samples import Colour, Line, Order, Point, encode, round_trip
from ironbridge import _engine
from ironbridge.errors import PayloadError


class Named(NamedTuple):
    a: int


class Text(str):
    __slots__ = ()


class Memory(bytearray):
    pass


@dataclasses.dataclass
class Rows(list[int]):
    title: str = ""


@dataclasses.dataclass
class Tags(set[str]):
    title: str = ""


@dataclasses.dataclass
class Failure(Exception):
    reason: str = ""


class Zone(dt.tzinfo):
    def utcoffset(self, _: dt.datetime | None) -> None:
        return None

    def dst(self, _: dt.datetime | None) -> None:
        return None

    def tzname(self, _: dt.datetime | None) -> None:
        return None


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        (socket, "", "module"),
        ([{"x": [1, 2, 3, socket.socket]}], "[0]['x'][3]", "the class socket itself"),
        ({"a": {1: (object(),)}}, "['a'][1][0]", "object"),
        ({(1, object()): 2}, "{…}[1]", "object"),
        ({frozenset({object()})}, "{…}{…}", "object"),
        ([Point(1, Point(lambda: 0))], "[0].y.x", "function"),
        (Order.model_construct(id=object()), ".id", "object"),
        ({"k" * 100: print}, "['" + "k" * 39 + "…]", "builtin_function_or_method"),
        ({Colour.RED: print}, "[<Colour>]", "builtin_function_or_method"),
        (collections.OrderedDict(), "", "OrderedDict"),
        (collections.deque(), "", "deque"),
        (Named(1), "", "Named"),
        (Text(), "", "Text"),
        (Memory(), "", "Memory"),
        (Rows(), "", "Rows"),
        (Tags(), "", "Tags"),
        (Failure(), "", "Failure"),
        (int, "", "the class int itself"),
        (dt.datetime(2024, 1, 1, tzinfo=Zone()), "", "the time zone Zone"),
        (memoryview(b"ab").cast("B", (1, 2))[:0], "", "an empty memoryview"),
        (iter([]), "", "list_iterator"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else type(value).__name__,
)
def test_the_path_is_named(value: object, path: str, reason: str) -> None:
    with pytest.raises(PayloadError) as caught:
        encode(value)
    assert str(caught.value).startswith(f"value{path}: {reason}")
    assert caught.value.fate == "not sent"


def test_arguments_are_named() -> None:
    refused = pytest.raises(PayloadError, match=r"^args\[1\]\['x'\]: socket cannot cross the bridge$")
    with socket.socket() as one, refused:
        _engine._encode_arguments((1, {"x": one}))
    with pytest.raises(PayloadError, match=r"^kwargs\['size'\]\[0\]: "):
        _engine._encode_arguments((), {"size": [print]})


def test_a_long_path_is_shortened() -> None:
    value: Any = print
    for _ in range(30):
        value = [value]
    with pytest.raises(PayloadError) as caught:
        encode(value)
    assert str(caught.value).startswith("value[0][0][0][0][0]…[0][0]: ")


def test_cyclic_values_end_at_the_depth() -> None:
    items: list[Any] = []
    items.append(items)
    pairs: dict[str, Any] = {}
    pairs["k"] = (pairs,)
    point = Point(None)
    point.x = [point]
    order = Order.model_construct(lines=[])
    order.lines.append(order)  # type: ignore[arg-type]
    for value in (items, pairs, point, order):
        with pytest.raises(PayloadError, match=r"nested deeper than 64 levels \(max_depth\)"):
            encode(value)
        with pytest.raises(PayloadError, match="nested deeper than 512"):
            encode(value, max_depth=512)


def nested(levels: int, wrap: Callable[[Any], Any]) -> Any:
    value: Any = None
    for _ in range(levels):
        value = wrap(value)
    return value


@pytest.mark.parametrize(
    "wrap",
    [lambda inner: [inner], lambda inner: (inner,), lambda inner: {1: inner}, lambda inner: frozenset({inner}),
     lambda inner: Point(inner), lambda inner: Order.model_construct(id=inner, lines=None)],
    ids=["list", "tuple", "dict", "frozenset", "dataclass", "model"],
)  # fmt: skip
def test_both_sides_agree_on_depth(wrap: Callable[[Any], Any]) -> None:
    round_trip(nested(10, wrap), max_depth=10)
    with pytest.raises(PayloadError, match="max_depth"):
        encode(nested(11, wrap), max_depth=10)
    payload, _ = encode(nested(11, wrap))
    with pytest.raises(PayloadError, match="max_depth"):
        _engine._decode_value(payload, max_depth=10)
    round_trip(nested(400, wrap), max_depth=512)


def test_items_are_counted_together() -> None:
    value = [[1, 2], (3, {4}), {5: 6}]
    round_trip(value, max_items=11)
    with pytest.raises(PayloadError, match=r"more than 9 items \(max_items\)"):
        encode(value, max_items=9)
    with pytest.raises(PayloadError, match=r"more than 9 items \(max_items\)"):
        _engine._decode_value(encode(value)[0], max_items=9)


@pytest.mark.parametrize(
    "value",
    ["x" * 9_000, b"x" * 9_000, bytearray(9_000), [1.5] * 1_000, {n: n for n in range(2_000)}, 1 << 80_000,
     memoryview(bytes(9_000)), ["x" * 100] * 100],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
@pytest.mark.parametrize("out_of_band", [1_024, 65_536])
def test_length_is_bounded(value: object, out_of_band: int) -> None:
    with pytest.raises(PayloadError, match="max_frame"):
        encode(value, max_frame=4_096, out_of_band=out_of_band)


def test_a_bomb_of_shared_lists_is_refused() -> None:
    value: Any = ["x"] * 100
    for _ in range(20):
        value = [value] * 100
    with pytest.raises(PayloadError, match=r"max_items|max_frame"):
        encode(value)


def test_what_raises_while_it_is_read_is_the_cause() -> None:
    @dataclasses.dataclass
    class Lazy:
        value: int = 0

        def __getattribute__(self, name: str) -> Any:
            if name == "value":
                raise LookupError("no database")
            return super().__getattribute__(name)

    with pytest.raises(PayloadError, match="LookupError: no database") as caught:
        encode([Lazy()])
    assert isinstance(caught.value.__cause__, LookupError)


def test_an_interrupt_is_no_refusal() -> None:
    @dataclasses.dataclass
    class Interrupting:
        value: int = 0

        def __getattribute__(self, name: str) -> Any:
            if name == "value":
                raise KeyboardInterrupt
            return super().__getattribute__(name)

    with pytest.raises(KeyboardInterrupt):
        encode([Interrupting()])


class TestClasses:
    """A class named by a peer is looked up among those declared, and in loaded modules where that is allowed."""

    def test_unknown_ones_are_refused_with_the_path(self) -> None:
        payload, _ = encode([1, {"p": Point(1)}])
        with pytest.raises(PayloadError, match=r"^result\[1\]\['p'\]: the class \S*Point is not declared here"):
            _engine._decode_value(payload, loaded=False)

    def test_declared_ones_are_found(self) -> None:
        payload, _ = encode(Point(1))
        declared = {f"{Point.__module__}:Point": Point}
        assert _engine._decode_value(payload, declared=declared, loaded=False) == Point(1)

    def test_nothing_is_imported(self) -> None:
        payload, _ = encode(Point(1))
        name = f"{Point.__module__}:Point".encode()
        victim = b"this:" + b"x" * (len(name) - 5)
        assert "this" not in sys.modules
        with pytest.raises(PayloadError, match="not declared or loaded"):
            _engine._decode_value(payload.replace(name, victim))
        assert "this" not in sys.modules

    def test_no_module_hook_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = types.ModuleType("hooked")

        def hook(name: str) -> object:
            raise AssertionError(name)

        vars(module)["__getattr__"] = hook
        monkeypatch.setitem(sys.modules, "hooked", module)
        name = f"{Point.__module__}:Point".encode()
        payload = encode(Point(1))[0].replace(name, b"hooked:" + b"x" * (len(name) - 7))
        with pytest.raises(PayloadError, match="not declared or loaded"):
            _engine._decode_value(payload)

    def test_the_main_program_of_the_other_side(self) -> None:
        payload, _ = encode(Point(1))
        declared = {"__main__:Point": Point}
        assert _engine._decode_value(payload, declared=declared, loaded=False) == Point(1)
        two = {"__main__:Point": Point, f"{Point.__module__}2:Point": Point}
        assert _engine._decode_value(payload, declared=two, loaded=False) == Point(1)

    @pytest.mark.parametrize("impostor", [object, 5, Colour, Line, dict], ids=str)
    def test_another_kind_of_class_is_refused(self, impostor: object) -> None:
        payload, _ = encode(Point(1))
        with pytest.raises(PayloadError, match=r"not a dataclass|not declared"):
            _engine._decode_value(payload, declared={f"{Point.__module__}:Point": impostor}, loaded=False)

    def test_fields_must_be_the_same(self) -> None:
        @dataclasses.dataclass
        class Other:
            x: int
            z: int = 0

        payload, _ = encode(Point(1))
        with pytest.raises(PayloadError, match="has other fields here"):
            _engine._decode_value(payload, declared={f"{Point.__module__}:Point": Other}, loaded=False)

    def test_members_must_be_known(self) -> None:
        class Fewer(enum.Enum):
            BLUE = 1

        payload, _ = encode(Colour.RED)
        with pytest.raises(PayloadError, match="has no member RED"):
            _engine._decode_value(payload, declared={f"{Colour.__module__}:Colour": Fewer}, loaded=False)
