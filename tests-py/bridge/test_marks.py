"""Decorators: real ones, those of any name, and what a typo is told."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import ironbridge.bridge as meta
import pytest
from ironbridge import action
from ironbridge.service import collect, mark_of


def names(owner: type) -> dict[str, list[str]]:
    return {endpoint.attribute: [endpoint.name, *endpoint.aliases] for endpoint in collect(owner, {})}


def test_each_spelling_names_its_endpoint() -> None:
    class Service:
        @meta.teste
        def home(self) -> None: ...

        @meta.function
        def get(self) -> None: ...

        @meta.endpoint
        def plain(self) -> None: ...

        @meta.endpoint("by-position")
        def positional(self) -> None: ...

        @meta.endpoint(name="by_name")
        def keyword(self) -> None: ...

        @action
        def acted(self) -> None: ...

        @action(name="other")
        def renamed(self) -> None: ...

        def unmarked(self) -> None: ...

    assert names(Service) == {
        "home": ["teste", "home"],
        "get": ["get"],
        "plain": ["plain"],
        "positional": ["by-position", "positional"],
        "keyword": ["by_name", "keyword"],
        "acted": ["acted"],
        "renamed": ["other", "renamed"],
    }


def test_static_and_class_methods_are_endpoints_in_either_order_of_decorators() -> None:
    class Service:
        @meta.one
        @staticmethod
        def first() -> int:
            return 1

        @staticmethod
        @meta.two
        def second() -> int:
            return 2

        @meta.three
        @classmethod
        def third(cls) -> str:
            return cls.__name__

    found = {endpoint.name: endpoint for endpoint in collect(Service, {})}
    assert [found[name].kind for name in ("one", "two", "three")] == ["static", "static", "class"]
    assert [found[name].function() for name in ("one", "two", "three")] == [1, 2, "Service"]


def test_inherited_marks_hold_and_an_override_keeps_its_mark() -> None:
    class Base:
        @meta.alias
        def kept(self) -> str:
            return "base"

        @meta.function
        def overridden(self) -> str:
            return "base"

        @meta.function
        def removed(self) -> None: ...

    class Service(Base):
        def overridden(self) -> str:
            return "derived"

        removed = None  # type: ignore[assignment]

    found = {endpoint.attribute: endpoint for endpoint in collect(Service, {})}
    assert set(found) == {"kept", "overridden"}
    assert found["overridden"].function(Service()) == "derived"


def test_two_names_on_one_method() -> None:
    class Service:
        @meta.first
        @meta.second
        def method(self) -> None: ...

    assert names(Service) == {"method": ["first", "second", "method"]}


def test_two_endpoints_of_one_name_are_refused() -> None:
    class Service:
        @meta.same
        def one(self) -> None: ...

        @meta.same
        def two(self) -> None: ...

    with pytest.raises(meta.ConfigurationError, match="two endpoints are named 'same': 'one' and 'two'"):
        collect(Service, {})


def test_a_given_name_wins_over_another_methods_own() -> None:
    class Service:
        @meta.get
        def home(self) -> str:
            return "home"

        @meta.other
        def get(self) -> str:
            return "get"

    assert names(Service) == {"home": ["get", "home"], "get": ["other"]}


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (lambda meta: meta.conect("x"), "no 'conect'; did you mean 'connect'?"),
        (lambda meta: meta.creat("x").daemon(), "did you mean 'create'?"),
        (lambda meta: meta.runn(None), "did you mean 'run'?"),
        (lambda meta: meta.ServiceNotFond, "did you mean 'ServiceNotFound'?"),
        (lambda meta: meta.conect.x, "did you mean 'connect'?"),
        (lambda meta: meta.whatever("x"), "@whatever before a function"),
        (lambda meta: meta._private, "no attribute '_private'"),
    ],
)
def test_a_typo_of_a_real_name_is_told(use: Any, told: str) -> None:
    with pytest.raises(AttributeError) as caught:
        use(meta)
    assert told in str(caught.value)


def test_a_typo_of_a_decorator_is_told_where_it_decorates() -> None:
    def handler() -> None: ...

    with pytest.raises(meta.ConfigurationError, match=r"@functon: did you mean @function\?.*@endpoint\('functon'\)"):
        meta.functon(handler)

    def endpoints() -> None: ...

    assert meta.endpoints(endpoints) is endpoints  # its own name: no typo


def test_what_is_no_function_cannot_be_an_endpoint() -> None:
    with pytest.raises(meta.ConfigurationError, match="only functions"):
        meta.endpoint(3)  # type: ignore[call-overload]
    with pytest.raises(meta.ConfigurationError, match=r"@endpoint\('x'\)"):
        meta.function("x")  # type: ignore[call-overload]
    with pytest.raises(meta.ConfigurationError, match="1 to 255 printable"):
        meta.endpoint("")(print)


def test_names_of_the_modules_behind_are_free_for_endpoints() -> None:
    program = (
        "import ironbridge.bridge as meta, ironbridge._bridge.start, ironbridge._bridge.client\n"
        "import ironbridge._bridge.daemon, ironbridge._bridge.supervisor\n"
        "for name in ('client', 'daemon', 'handle', 'start', 'launch', 'origin', 'registration', 'annotations',\n"
        "             'batch', 'typed', 'logs', 'marks', 'json', 'sys', 'os', 'stats', 'call', 'action'):\n"
        "    def endpoint(): pass\n"
        "    assert getattr(meta, name)(endpoint) is endpoint, name\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_mark_travels_with_its_function() -> None:
    @meta.teste
    def function() -> None: ...

    mark = mark_of(function)
    assert mark is not None
    copied = pickle.loads(pickle.dumps(mark))
    assert (copied.kind, copied.names) == ("action", ("teste",))


def test_the_modules_own_names_are_all_there() -> None:
    for name in meta.__all__:
        assert getattr(meta, name) is not None
    assert dir(meta) == meta.__all__
    assert meta.MetaBridgeError is meta.IronbridgeError
