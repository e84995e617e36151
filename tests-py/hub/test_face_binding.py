"""What a `MicroService` makes of a class, before there is any hub."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ironbridge
import ironbridge.bridge as meta
import pytest
from ironbridge import service
from ironbridge.hub import ConfigurationError, MicroService

AT: dict[str, Any] = {"sender_endpoint": "ipc:///tmp/never-s", "receiver_endpoint": "ipc:///tmp/never-r"}


class Greeter:
    def __init__(self, greeting: str = "Hello") -> None:
        self.greeting = greeting

    @MicroService.action
    async def hello(self, service: str, data: str) -> str:
        return f"{self.greeting}, {data}!"

    @MicroService.action(name="shout it")
    def shout(self, service: str, data: str) -> str:
        return f"{self.greeting}, {data}!".upper()

    @staticmethod
    @MicroService.action
    async def fixed(service: str, data: str) -> str:
        return data

    @MicroService.task
    async def beat(self) -> None: ...

    def plain(self) -> None: ...


async def test_actions_and_tasks_are_bound_to_the_object() -> None:
    composed = MicroService(Greeter("Oi"), **AT)
    assert composed.name == "Greeter"
    assert sorted(composed.actions) == ["fixed", "hello", "shout it"]
    assert list(composed.tasks) == ["beat"]
    assert await composed.actions["hello"]("X", "tu") == "Oi, tu!"
    assert await composed.actions["shout it"]("X", "tu") == "OI, TU!"
    assert await composed.actions["fixed"]("X", "tu") == "tu"


async def test_a_derived_class_serves_itself() -> None:
    class Db(MicroService):
        def __init__(self) -> None:
            super().__init__(self, **AT)
            self.rows = ["one"]

        @MicroService.action
        async def count(self, service: str, data: Any) -> int:
            return len(self.rows)

    db = Db()
    assert (db.name, list(db.actions)) == ("Db", ["count"])
    assert await db.actions["count"]("X", None) == 1
    assert MicroService.of(db) is db


def test_one_mark_serves_every_face() -> None:
    class Any_:
        @ironbridge.action
        async def one(self, service: str, data: Any) -> None: ...

        @meta.endpoint("two")
        async def second(self, service: str, data: Any) -> None: ...

        @ironbridge.task
        async def work(self) -> None: ...

        @MicroService.action
        async def three(self, service: str, data: Any) -> None: ...

    served = MicroService(Any_(), **AT)
    assert sorted(served.actions) == ["one", "three", "two"]
    assert list(served.tasks) == ["work"]
    # On the bridge a task is no endpoint.
    assert sorted(one.name for one in service.collect(Any_, {})) == ["one", "three", "two"]


def test_inherited_actions_hold_and_an_override_keeps_its_mark() -> None:
    class Louder(Greeter):
        async def hello(self, service: str, data: str) -> str:
            return data.upper()

    louder = MicroService(Louder(), **AT)
    assert sorted(louder.actions) == ["fixed", "hello", "shout it"]
    assert louder.actions["hello"].__func__ is Louder.hello  # type: ignore[attr-defined]


def test_a_composed_object_gets_the_sending_methods_and_keeps_its_own() -> None:
    class Own:
        response = "mine"

    own = Own()
    composed = MicroService(own, **AT)
    assert own.response == "mine"
    for name in ("send_broadcast", "request_action", "call", "call_all"):
        assert getattr(own, name) == getattr(composed, name)
    assert MicroService.of(own) is composed


@dataclass(frozen=True, slots=True)
class Frozen:
    value: int = 1

    @MicroService.action
    async def get(self, service: str, data: Any) -> int:
        return self.value


class Slotted:
    __slots__ = ()


@pytest.mark.parametrize("kind", [Frozen, Slotted])
def test_objects_that_take_no_attributes_find_their_service(kind: type) -> None:
    served = kind()
    composed = MicroService(served, **AT)
    assert not hasattr(served, "call")
    assert MicroService.of(served) is composed


def test_an_object_that_nobody_serves_has_no_service() -> None:
    with pytest.raises(ConfigurationError, match="no MicroService was made for"):
        MicroService.of(Greeter())


def test_its_name_can_be_given() -> None:
    assert MicroService(Greeter(), **AT, name="Mary").name == "Mary"


@pytest.mark.parametrize("name", ["<r>", "<", "", "two\nlines", "x" * 256, 3])
def test_impossible_names_are_refused_where_they_are_given(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="1 to 255 printable characters"):
        MicroService(Greeter(), **AT, name=name)
    if isinstance(name, str):
        with pytest.raises(ConfigurationError, match="1 to 255 printable characters"):
            MicroService.action(name=name)
        with pytest.raises(ConfigurationError, match="1 to 255 printable characters"):
            MicroService.task(name=name)


def test_two_actions_of_one_name_are_refused() -> None:
    class Twice:
        @MicroService.action(name="same")
        async def one(self, service: str, data: Any) -> None: ...

        @MicroService.action(name="same")
        async def two(self, service: str, data: Any) -> None: ...

    with pytest.raises(ConfigurationError, match="two endpoints are named 'same': 'one' and 'two'"):
        MicroService(Twice(), **AT)


def test_an_action_of_its_services_name_is_refused() -> None:
    class Same:
        @MicroService.action(name="Same")
        async def one(self, service: str, data: Any) -> None: ...

    with pytest.raises(ConfigurationError, match="Same"):
        MicroService(Same(), **AT)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"gracee": 1}, "no option 'gracee'; did you mean 'grace'"),
        ({"grace": -1}, "grace is a number of seconds"),
        ({"grace": True}, "grace is a number of seconds"),
        ({"grace": float("nan")}, "grace is a number of seconds"),
        ({"outbox_bytes": 0}, "outbox_bytes is a whole number"),
        ({"restart": (2, 1)}, "restart is two numbers"),
        ({"curve_secretkey_file": "k"}, "CURVE keys are not spoken here.*secret="),
        ({"heartbeat_interval": 5}, "signs of life are always sent"),
        ({"serializer": "yaml"}, "serializer is 'json', 'msgpack' or an object"),
        ({"serializer": object()}, "serializer is 'json', 'msgpack' or an object"),
        ({"hub": "perhaps"}, "perhaps"),
        ({"sender_endpoint": "udp://x"}, "udp"),
        ({"sender_endpoint": "tcp://127.0.0.1"}, "tcp://127.0.0.1"),
        ({"secret": ""}, "secret"),
    ],
)
def test_what_cannot_be_is_told_when_the_service_is_made(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        MicroService(Greeter(), **{**AT, **given})


def test_a_class_in_place_of_an_object_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"service is an object of the class, not the class: Greeter\(...\)"):
        MicroService(Greeter, **AT)


@pytest.mark.parametrize("decorate", [MicroService.action, MicroService.task])
def test_only_functions_are_marked(decorate: Any) -> None:
    with pytest.raises(ConfigurationError, match="only functions"):
        decorate(3)
