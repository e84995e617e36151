"""Models of every kind, for the TypeScript of an application that has them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Literal, NamedTuple, NewType, NotRequired, Optional, TypeVar
from uuid import UUID

from ironbridge.app import ExposeType, SplitInputOutput, WebSocketMessage
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, JsonValue, RootModel, computed_field
from pydantic.alias_generators import to_camel
from typing_extensions import TypeAliasType, TypedDict

T = TypeVar("T")
OwnerId = NewType("OwnerId", UUID)


class Color(str, Enum):  # noqa: UP042 - as users write it
    RED = "red"
    LIGHT_BLUE = "light_blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Weight(Enum):
    ONE = 1
    TWO = 2


class Answer(Enum):
    YES = True
    NO = False


class Rights(IntFlag):
    READ = 1
    WRITE = 2


class Owner(BaseModel):
    owner_id: UUID
    nick_name: Optional[str] = None  # noqa: UP045 - as users write it


class Box(BaseModel, Generic[T]):
    content: T
    made_at: datetime


class OwnerBox(Box[Owner]):
    box_label: str


class Tags(RootModel[list[str]]):
    pass


class Folder(RootModel[dict[str, "Folder | int"]]):
    pass


class Size(TypedDict):
    width_in_cm: int
    height: NotRequired[int]


class Place(NamedTuple):
    x: int
    label: str


@dataclass
class Point:
    x: float
    y_offset: float = 0
    tags: list[str] = field(default_factory=list)


@dataclass
class Pair(Generic[T]):
    left_side: T
    right_side: T


@SplitInputOutput()
class Profile(BaseModel):
    user_name: str
    bio_text: str | None = None
    tag_list: list[str] = Field(default_factory=list)
    pass_word: str = Field("", exclude=True)

    @computed_field
    def name_length(self) -> int:
        return len(self.user_name)


class Node(BaseModel):
    node_name: str
    sub_nodes: list[Node] = []
    parent_node: Optional["Node"] = None  # noqa: UP037, UP045 - as users write it


class Cat(BaseModel):
    pet_kind: Literal["cat"] = "cat"
    claw_count: int


class Dog(BaseModel):
    pet_kind: Literal["dog"] = "dog"
    claw_count: str
    bark_volume: int


Pet = Annotated[Cat | Dog, Field(discriminator="pet_kind")]
Tree = TypeAliasType("Tree", "dict[str, Tree] | int")


class Renamed(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    first_name: str
    other_one: int = Field(1, alias="other-name")


class Base(BaseModel):
    base_id: int
    base_note: str | None = None


class Derived(Base):
    own_value: int


class Narrowed(Base):
    base_note: str


@ExposeType()
class Exposed(BaseModel):
    shown_anyway: bool


class Everything(BaseModel):
    count_of: ClassVar[int] = 0
    text: str
    count: int
    ratio: float
    price: Decimal
    flag: bool
    nothing: None
    anything: Any
    raw: bytes
    length: timedelta
    day: date
    at: time
    unique: set[int]
    frozen: frozenset[str]
    sequence: Sequence[Color]
    queue: deque[int]
    pair: tuple[int, str]
    many: tuple[int, ...]
    table: dict[str, list[Owner]]
    by_number: dict[int, str]
    by_color: dict[Color, int]
    mapping: Mapping[UUID, bool]
    choice: Literal["a", 3, None]
    one_color: Literal[Color.RED]
    color: Color
    level: Level
    weight: Weight
    answer: Answer
    rights: Rights
    tags: Tags
    folder: Folder
    size: Size
    place: Place
    point: Point
    points: Pair[int]
    either: int | str | None
    owner: OwnerId
    link: HttpUrl
    path: Path
    json_value: JsonValue
    tree: Tree
    pets: list[Pet]
    boxed: Box[Owner]
    plain_box: Box  # type: ignore[type-arg]
    nested: Box[list[Box[int]]]
    hidden: str = Field("x", exclude=True)
    factory: list[int] = Field(default_factory=list)
    default: int = 1
    _private: int = 0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def double_count(self) -> int:
        return self.count * 2


class WidgetChanged(WebSocketMessage):
    MESSAGE_ID = "widget.changed"
    widget_id: UUID
    new_price: float
