"""Values of every kind that crosses the bridge: classes, examples, and strategies that make more."""

from __future__ import annotations

import array
import dataclasses
import datetime as dt
import decimal
import enum
import gc
import math
import pathlib
import struct
import uuid
import zoneinfo
from typing import Any, ClassVar

import numpy as np
import pydantic
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from ironbridge import _engine


class Colour(enum.Enum):
    RED = "red"
    CRIMSON = "red"  # noqa: PIE796
    OPAQUE = object()


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 10


class Unit(enum.StrEnum):
    METRE = "m"


class Access(enum.Flag):
    READ = 1
    WRITE = 2
    ALL = 3


class Bits(enum.IntFlag):
    ONE = 1
    TWO = 2


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = 0
    origin: ClassVar[int] = 7


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    size: int = dataclasses.field(default=0, init=False)


@dataclasses.dataclass
class Strict:
    """Its constructor takes other things than its fields, and refuses to run twice."""

    given: dataclasses.InitVar[int]
    doubled: int = dataclasses.field(init=False)

    def __post_init__(self, given: int) -> None:
        self.doubled = 2 * given


class Outer:
    @dataclasses.dataclass
    class Inner:
        value: int


class Order(pydantic.BaseModel):
    id: int
    lines: list[Line] = []
    _secret: int = pydantic.PrivateAttr(default=3)


class Line(pydantic.BaseModel):
    sku: str
    price: decimal.Decimal = decimal.Decimal("1.50")


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", frozen=True)
    name: str = pydantic.Field(default="x", alias="Name")


def opened(**extra: Any) -> Open:
    """An open model with fields that its class does not know."""
    return Open.model_validate({"Name": "n", **extra})


class Numbers(pydantic.RootModel[list[int]]):
    pass


def encode(value: object, **limits: Any) -> tuple[bytes, list[bytes | bytearray]]:
    return _engine._encode_value(value, **limits)


def round_trip(value: Any, **limits: Any) -> Any:
    payload, buffers = _engine._encode_value(value, **limits)
    return _engine._decode_value(payload, buffers, **limits)


def resident() -> int:
    """The bytes of memory that this process holds."""
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def same(one: Any, other: Any) -> bool:
    """Equal, of equal type all the way down, and written alike."""
    if type(one) is not type(other):
        return False
    match one:
        case float():
            return type(one) is not float or struct.pack("d", one) == struct.pack("d", other)
        case complex():
            return type(one) is not complex or (same(one.real, other.real) and same(one.imag, other.imag))
        case list() | tuple():
            return len(one) == len(other) and all(map(same, one, other))
        case dict():
            return same(list(one.items()), list(other.items()))
        case set() | frozenset():
            canonical = _engine._canonical
            return bool(one == other) and canonical((one,)) == canonical((other,))
        case decimal.Decimal():
            return one.as_tuple() == other.as_tuple()
        case dt.datetime() | dt.time():
            zone, other_zone = one.tzinfo, other.tzinfo
            return (
                one.replace(tzinfo=None) == other.replace(tzinfo=None)
                and one.fold == other.fold
                and type(zone) is type(other_zone)
                and (zone == other_zone and repr(zone) == repr(other_zone))
            )
        case np.ndarray():
            return (
                one.dtype == other.dtype
                and one.dtype.char == other.dtype.char
                and one.shape == other.shape
                and one.flags.writeable == other.flags.writeable
                and one.tobytes() == other.tobytes()
            )
        case np.generic():
            return one.dtype == other.dtype and one.tobytes() == other.tobytes()
        case memoryview():
            return one.readonly == other.readonly and one.shape == other.shape and one == other
        case pydantic.BaseModel():
            states = [value.__getstate__() for value in (one, other)]
            return all(same(states[0][part], states[1][part]) for part in states[0])
        case Point():
            return same([one.x, one.y], [other.x, other.y])
    return bool(one == other)


_numbers = (
    0, 1, 127, 128, 255, 256, 65535, 65536, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**300,
)  # fmt: skip
_new_york = zoneinfo.ZoneInfo("America/New_York")
_sized = [
    kind(size)
    for size in (0, 1, 31, 32, 255, 256, 65535, 65536, 70000)
    for kind in (bytes, bytearray, "é".__mul__, lambda size: tuple(range(size)), lambda size: [None] * size)  # type: ignore[operator]
]

EXAMPLES: list[Any] = [
    None, True, False, *_numbers, *(-number for number in _numbers), *(-number - 1 for number in _numbers),
    0.0, -0.0, 1.5, 5e-324, math.inf, -math.inf, math.nan, 1 + 2j, complex(-0.0, math.inf),
    "", "plain", "žluť 🐍", "\ud800", "a\udcffb", "\0",
    *_sized,
    [], [[], [[]]], (), ((),), (1, (2, "x" * 300)), {}, {"a": {"b": [1]}}, {1: 2, None: 3, (1, "x"): 4, 2.5: 5, b"k": 6},
    {frozenset({1}): 1, Colour.RED: 2, Frozen("k"): 3},
    set(), {1, "a", None}, frozenset(), frozenset({(1, 2), frozenset({3})}), {str(number) for number in range(300)},
    dt.datetime(2024, 2, 29, 23, 59, 59, 999_999), dt.datetime.min, dt.datetime.max,
    dt.datetime(2024, 5, 1, tzinfo=dt.UTC), dt.datetime(2024, 5, 1, tzinfo=dt.timezone(dt.timedelta(0), "UTC")),
    dt.datetime(2024, 11, 3, 1, 30, tzinfo=_new_york), dt.datetime(2024, 11, 3, 1, 30, fold=1, tzinfo=_new_york),
    dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-3, microseconds=5), "Návesí")),
    dt.datetime(2000, 1, 1, tzinfo=zoneinfo.ZoneInfo("Etc/GMT+5")),
    dt.date.min, dt.date.max, dt.time(1, 2, 3, 4, fold=1), dt.time(5, tzinfo=dt.UTC), dt.time(5, tzinfo=_new_york),
    dt.timedelta.min, dt.timedelta.max, dt.timedelta(microseconds=-1),
    *map(decimal.Decimal, ["0", "-0", "1.50", "1.5", "1E+50", "-1e-400", "NaN", "-sNaN12", "Infinity", "9" * 100]),
    uuid.UUID(int=0), uuid.UUID(int=2**128 - 1),
    Colour.RED, Colour.CRIMSON, Colour.OPAQUE, Level.HIGH, Unit.METRE, Access.READ, Access.ALL, Access(0), Access(3),
    Bits.ONE, Bits.ONE | Bits.TWO, Bits(64),
    pathlib.Path("/etc/../x y"), pathlib.Path(), pathlib.Path("\udcff"), pathlib.PurePosixPath("a"),
    pathlib.PureWindowsPath(r"c:\a\b"),
    Point(1, [Point(2)]), Point(Point(None), "y"), Frozen("f"), Strict(4), Outer.Inner(1),
    Order(id=1, lines=[Line(sku="a")]), Order(id=2), Open(Name="n"), opened(other=[1]), Numbers([1, 2]),
    array.array("d", [1.5, 2]), array.array("b"), array.array("Q", range(20_000)),
]  # fmt: skip

VIEWS: list[Any] = [
    memoryview(b""), memoryview(b"abc"), memoryview(bytearray(b"abc")), memoryview(bytes(70_000)),
    memoryview(bytearray(70_000)), memoryview(array.array("d", [1, 2])), memoryview(array.array("i")),
    memoryview(bytes(24)).cast("i", (3, 2)), memoryview(b"a").cast("c"), memoryview(b"a").cast("B", ()),
    memoryview(b"abcdef")[::2], memoryview(b"abcdef")[::-1], np.arange(6, dtype="<i4").reshape(2, 3).data,
    np.arange(6).reshape(2, 3).T.data, memoryview(bytes(8)).cast("?"),
]  # fmt: skip


_hashable = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
    | st.binary(max_size=20) | st.uuids() | st.dates() | st.decimals(allow_nan=False)
    | st.sampled_from([Colour.RED, Level.LOW, Access.ALL, Bits(5), Unit.METRE])
    | st.builds(Frozen, st.text(max_size=5)) | st.builds(pathlib.Path, st.text("ab/.", max_size=8)),
    lambda inner: st.tuples(inner) | st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)  # fmt: skip

_zones = (
    st.none()
    | st.timezones()
    | st.builds(dt.timezone, st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23)))
    | st.builds(dt.timezone, st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23)), st.text(max_size=5))
)

_leaves = (
    _hashable
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters(), max_size=40)
    | st.integers(-(2**200), 2**200)
    | st.binary(max_size=300)
    | st.builds(bytearray, st.binary(max_size=300))
    | st.datetimes(timezones=_zones, allow_imaginary=True)
    | st.times(timezones=_zones)
    | st.timedeltas()
    | st.decimals()
    | st.builds(Line, sku=st.text(max_size=5))
    | st.builds(array.array, st.sampled_from("bBhHiIlLqQ"), st.lists(st.integers(0, 100), max_size=5))
)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    few = st.lists(inner, max_size=4)
    return (
        few
        | st.builds(tuple, few)
        | st.dictionaries(_hashable, inner, max_size=4)
        | st.sets(_hashable, max_size=4)
        | st.builds(Point, inner, inner)
        | st.builds(lambda more: opened(more=more), inner)
    )


values = st.recursive(_leaves, _containers, max_leaves=12)

dtypes = (
    hnp.boolean_dtypes()
    | hnp.integer_dtypes(endianness="?")
    | hnp.unsigned_integer_dtypes(endianness="?")
    | hnp.floating_dtypes(endianness="?")
    | hnp.complex_number_dtypes(endianness="?")
    | hnp.datetime64_dtypes(endianness="?")
    | hnp.timedelta64_dtypes(endianness="?")
    | hnp.byte_string_dtypes(endianness="?", min_len=1)
    | hnp.unicode_string_dtypes(endianness="?", min_len=1)
)
structures = hnp.nested_dtypes(dtypes, max_leaves=5, max_itemsize=400)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """Arrays of any dtype and shape: C or Fortran order or neither, writable or not."""
    dtype = np.dtype(draw(dtypes | structures))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    size = math.prod(shape) * dtype.itemsize
    data = draw(st.binary(min_size=size, max_size=size)) if size < 200 else bytes(size)
    made: np.ndarray[Any, Any] = (
        np.frombuffer(data, f"V{dtype.itemsize}") if size else np.zeros(math.prod(shape), dtype)
    )
    made = np.ndarray(shape, dtype, bytearray(data)) if size else made.reshape(shape)
    made = draw(st.sampled_from([made, np.asfortranarray(made), made.T, made[..., ::-1] if made.ndim else made]))
    if draw(st.booleans()):
        made.flags.writeable = False
    return made
