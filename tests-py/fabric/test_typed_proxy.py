"""Proxies that know their service's class: arguments by position, mistakes found here, types for editors and mypy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from ironbridge.fabric import (
    AbstractServiceApi,
    AmqBrokerConnector,
    ConfigurationError,
    EndpointNotFound,
    PayloadError,
    ServiceProxy,
    action,
)

from fabric.inbox import connector


class Base(AbstractServiceApi):
    async def inherited(self, x: int = 1) -> int:
        return x


class Calculator(Base):
    not_a_method = 3

    async def multiply(self, x: int, y: int = 10) -> int:
        return x * y

    async def named(self, *, x: int, y: int = 2) -> int:
        return x - y

    async def everything(self, x: int, *more: int, **named: int) -> dict[str, Any]:
        return {"x": x, "more": list(more), **named}

    @staticmethod
    def static(x: int, y: int) -> int:
        return x + y

    @classmethod
    def of_class(cls, x: int) -> str:
        return f"{cls.__name__} {x}"

    @action(name="sum", idempotent=True)
    async def add(self, x: int, y: int) -> int:
        return x + y

    async def _private(self) -> None: ...


@pytest.fixture
async def amq(vhost: str) -> AsyncIterator[AmqBrokerConnector]:
    async with connector(vhost) as amq:
        await amq.rpc_register(Calculator())
        yield amq


@pytest.fixture
async def typed(amq: AmqBrokerConnector) -> Any:
    return await amq.rpc_proxy("shop", "one", "till", api=Calculator)


@pytest.fixture
async def untyped(amq: AmqBrokerConnector) -> ServiceProxy:
    return await amq.rpc_proxy("shop", "one", "till")


async def test_arguments_may_be_given_by_position(typed: Any) -> None:
    assert await typed.multiply(3, 4) == 12
    assert await typed.multiply(3, y=4) == 12
    assert await typed.multiply(y=3, x=4) == 12
    assert await typed.multiply(3) == 30
    assert await typed.inherited(5) == 5
    assert await typed.inherited() == 1
    assert await typed.named(x=5) == 3
    assert await typed.static(1, 2) == 3
    assert await typed.static(x=1, y=2) == 3
    assert await typed.of_class(3) == "Calculator 3"
    assert await typed.everything(1, a=2) == {"x": 1, "more": [], "a": 2}
    assert await typed.health_check() is True


async def test_a_method_is_called_by_the_name_that_its_mark_says(typed: Any, untyped: Any) -> None:
    assert await typed.add(1, 2) == 3
    assert await untyped.sum(x=1, y=2) == 3
    with pytest.raises(EndpointNotFound):
        await untyped.add(x=1, y=2)


async def test_wrong_arguments_are_refused_here(typed: Any, amq: AmqBrokerConnector) -> None:
    before = amq.stats()["calls_taken"]
    for wrong in (
        lambda: typed.multiply(),
        lambda: typed.multiply(1, 2, 3),
        lambda: typed.multiply(1, x=1),
        lambda: typed.multiply(1, z=2),
        lambda: typed.named(1),
        lambda: typed.everything(1, 2, 3),
    ):
        with pytest.raises(TypeError):
            wrong()
    assert amq.stats()["calls_taken"] == before


async def test_a_method_that_the_class_has_not_is_refused_here(typed: Any) -> None:
    with pytest.raises(EndpointNotFound, match=r"Calculator has no method 'divide'.*multiply") as caught:
        typed.divide(1, 2)
    assert (caught.value.service, caught.value.endpoint) == ("shop.till.one", "divide")
    for name in ("divide", "_private", "not_a_method", "sum", "__wrapped__"):
        assert not hasattr(typed, name)
    assert hasattr(typed, "multiply")
    assert {"add", "multiply", "inherited", "health_check", "with_options"} <= set(dir(typed))


async def test_without_a_class_arguments_are_given_by_name(untyped: Any) -> None:
    assert await untyped.multiply(x=3, y=4) == 12
    with pytest.raises(TypeError, match=r"by name|named"):
        untyped.multiply(3, 4)
    with pytest.raises(AttributeError):
        untyped._private()
    assert "shop.till.one" in repr(untyped)


async def test_other_options_keep_the_class(typed: Any) -> None:
    assert await typed.with_options(timeout=10).multiply(3, 4) == 12
    assert await typed.with_options(idempotent=True).with_options(timeout=10).static(1, 2) == 3


async def test_what_json_has_not_is_named_by_its_argument(typed: Any, untyped: Any) -> None:
    for call in (lambda value: typed.multiply(1, value), lambda value: untyped.multiply(x=1, y=value)):
        with pytest.raises(PayloadError, match=r"arguments\['y'\]"):
            call(object())
        with pytest.raises(PayloadError, match=r"arguments\['y'\]\[1\]\['deep'\]"):
            call([0, {"deep": {1, 2}}])


class Promised(Protocol):
    async def multiply(self, x: int, y: int) -> int: ...


class Abstract(ABC):
    @abstractmethod
    async def multiply(self, x: int, y: int) -> int: ...


async def test_the_class_may_be_a_protocol_or_abstract(amq: AmqBrokerConnector) -> None:
    promised = await amq.rpc_proxy("shop", "one", "till", api=Promised)
    assert await promised.multiply(3, 4) == 12
    abstract = await amq.rpc_proxy("shop", "one", "till", api=Abstract)
    assert await abstract.multiply(3, 4) == 12


async def test_an_api_is_a_class(amq: AmqBrokerConnector) -> None:
    wrong: Any
    for wrong in (Calculator(), "Calculator", Calculator.multiply):
        with pytest.raises(ConfigurationError, match="api"):
            amq.rpc_proxy("shop", "one", "till", api=wrong)


def test_without_a_loop_it_is_the_same(vhost: str) -> None:
    with connector(vhost) as amq:
        amq.rpc_register(Calculator())
        proxy: Any = amq.rpc_proxy("shop", "one", "till", api=Calculator)
        assert proxy.multiply(3, 4) == 12
        with pytest.raises(EndpointNotFound):
            proxy.divide(3, 4)


TYPED = """
from typing import assert_type
from ironbridge.fabric import AbstractServiceApi, AmqBrokerConnector, ServiceProxy

class Calculator(AbstractServiceApi):
    async def multiply(self, x: int, y: int = 1) -> int:
        return x * y

async def main(amq: AmqBrokerConnector) -> None:
    calculator = await amq.rpc_proxy("shop", "one", "till", api=Calculator)
    assert_type(calculator, Calculator)
    assert_type(await calculator.multiply(1, 2), int)
    other = await amq.rpc_proxy("shop", "one", "till")
    assert_type(other, ServiceProxy)
    await calculator.multiply("x")
    await calculator.divide(1, 2)
    assert_type(amq.list_services()[0]["id"], str)
    amq.publish_data("text", {})
    amq.subscribe_data("reader", {}, print, match="some")
"""


def test_mypy_infers_what_a_call_gives_and_finds_mistakes(tmp_path: Path) -> None:
    from mypy import api

    (tmp_path / "typed.py").write_text(TYPED)
    shown, _, status = api.run(["--strict", "--cache-dir", str(tmp_path / "cache"), str(tmp_path / "typed.py")])
    found = [line.split("error: ")[1] for line in shown.splitlines() if "error: " in line]
    assert status == 1
    assert [error for error in found if "assert_type" in error or "Expression is of type" in error] == [
        'Expression is of type "Any", not "str"  [assert-type]'
    ]
    rest = "\n".join(found)
    for expected in (
        'Argument 1 to "multiply" of "Calculator" has incompatible type "str"; expected "int"',
        '"Calculator" has no attribute "divide"',
        'Argument 1 to "publish_data" of "AmqBrokerConnector" has incompatible type "str"',
        'Argument "match" to "subscribe_data" of "AmqBrokerConnector" has incompatible type',
    ):
        assert expected in rest
    assert len(found) == 5
