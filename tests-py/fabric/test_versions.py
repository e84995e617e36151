"""Servers of several versions under one name, and callers that say which they want."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from harness import wait_until
from ironbridge.fabric import (
    AbstractServiceApi,
    AmqBrokerConnector,
    ConfigurationError,
    EndpointNotFound,
    ServiceUnavailable,
)

from fabric.inbox import Troubles, connector


class Till(AbstractServiceApi):
    def __init__(self, version: str) -> None:
        self.version = version

    async def which(self) -> str:
        return self.version


class NewTill(Till):
    async def refund(self) -> str:
        return self.version


def server(uri: str, version: str | None) -> AmqBrokerConnector:
    return connector(uri, keep_alive_seconds=0.2, service_version=version, on_error=Troubles())


async def sees(amq: AmqBrokerConnector, *versions: str) -> None:
    """Waits until these versions are listed, in this order."""

    def listed() -> bool:
        services = amq.list_services(versions=True)
        return bool(services) and services[0]["versions"] == list(versions)

    await asyncio.to_thread(wait_until, listed, 20, f"{versions} are there")


async def test_a_caller_gets_a_version_that_it_wants_the_highest_first(vhost: str) -> None:
    async with (
        server(vhost, "1.9") as old,
        server(vhost, "1.10.2") as middle,
        server(vhost, "2.0") as new,
        connector(vhost, "caller") as caller,
    ):
        for amq in (old, middle, new):
            await amq.rpc_register(Till(str(amq.service_version)))
        await sees(caller, "2.0", "1.10.2", "1.9")
        for wanted, expected in (
            (">=1", "2.0"),
            ("<2", "1.10.2"),
            (">=1,<1.10", "1.9"),
            ("==1.9", "1.9"),
            ("==1.9.0", "1.9"),
            ("!=2.0", "1.10.2"),
            ("~=1.9", "1.10.2"),
            ("<=1.9", "1.9"),
            (">1.9, <2", "1.10.2"),
        ):
            proxy = await caller.rpc_proxy("shop", "one", "till", version=wanted)
            assert [await proxy.which() for _ in range(3)] == [expected] * 3, wanted


async def test_a_caller_that_wants_none_gets_any(vhost: str) -> None:
    async with (
        server(vhost, "1.0") as old,
        server(vhost, "2.0") as new,
        server(vhost, None) as without,
        connector(vhost, "caller") as caller,
    ):
        for amq in (old, new, without):
            await amq.rpc_register(Till(str(amq.service_version)))
        proxy = await caller.rpc_proxy("shop", "one", "till")
        assert {await proxy.which() for _ in range(12)} == {"1.0", "2.0", "None"}


async def test_what_is_there_is_named_when_it_is_not_what_is_wanted(vhost: str) -> None:
    async with (
        server(vhost, "1.0") as old,
        server(vhost, "1.1") as older,
        server(vhost, None) as without,
        connector(vhost, "caller") as caller,
    ):
        for amq in (old, older, without):
            await amq.rpc_register(Till(str(amq.service_version)))
        await sees(caller, "1.1", "1.0")
        proxy = await caller.rpc_proxy("shop", "one", "till", version=">=2")
        with pytest.raises(ServiceUnavailable, match=r"shop\.till\.one.*>=2.*1\.1, 1\.0") as caught:
            await proxy.which()
        assert caught.value.fate in ("not sent", "rejected")
        nobody = await caller.rpc_proxy("shop", "nobody", "till", version=">=2")
        with pytest.raises(ServiceUnavailable, match=r"shop\.till\.nobody.*>=2"):
            await nobody.which()


async def test_versions_that_come_and_go_are_noticed(vhost: str) -> None:
    async with server(vhost, "1.0") as old, connector(vhost, "caller") as caller:
        await old.rpc_register(Till("1.0"))
        await sees(caller, "1.0")
        proxy = await caller.rpc_proxy("shop", "one", "till", version=">=1")
        assert await proxy.which() == "1.0"
        async with server(vhost, "2.0") as new:
            await new.rpc_register(Till("2.0"))
            await sees(caller, "2.0", "1.0")
            assert await proxy.which() == "2.0"
        await sees(caller, "1.0")
        assert await proxy.which() == "1.0"


async def test_a_method_that_only_some_versions_have_is_called_where_it_is(vhost: str) -> None:
    async with (
        server(vhost, "1.0") as old,
        server(vhost, "2.0") as new,
        connector(vhost, "caller") as caller,
    ):
        await old.rpc_register(Till("1.0"))
        await new.rpc_register(NewTill("2.0"))
        await sees(caller, "2.0", "1.0")
        proxy: Any = await caller.rpc_proxy("shop", "one", "till", version=">=2")
        assert await proxy.refund() == "2.0"
        with pytest.raises(EndpointNotFound, match="refund"):
            await proxy.with_options(version="<2").refund()


async def test_a_proxy_can_be_had_for_another_version(vhost: str) -> None:
    async with (
        server(vhost, "1.0") as old,
        server(vhost, "2.0") as new,
        connector(vhost, "caller") as caller,
    ):
        await old.rpc_register(Till("1.0"))
        await new.rpc_register(Till("2.0"))
        await sees(caller, "2.0", "1.0")
        proxy = await caller.rpc_proxy("shop", "one", "till", version=">=2")
        older = proxy.with_options(version="<2")
        assert (await proxy.which(), await older.which()) == ("2.0", "1.0")
        assert await older.with_options(timeout=10).which() == "1.0"


def test_without_a_loop_it_is_the_same(vhost: str) -> None:
    with server(vhost, "2.0") as new, connector(vhost, "caller") as caller:
        new.rpc_register(Till("2.0"))
        wait_until(lambda: caller.list_services())
        assert caller.rpc_proxy("shop", "one", "till", version="~=2.0").which() == "2.0"
        with pytest.raises(ServiceUnavailable, match=r"2\.0"):
            caller.rpc_proxy("shop", "one", "till", version="<2").which()


async def test_what_is_no_version_is_refused_where_it_is_said(vhost: str) -> None:
    for wrong in ("", "1 2", ">=1", "1" * 64, 2, 2.0):
        with pytest.raises(ConfigurationError, match="service_version"):
            connector(vhost, service_version=wrong)
    async with connector(vhost) as amq:
        ranges: list[Any] = ["", "2 3", ">=", "=>1", ">=1,,<2", "^1", ">=1 <2", 2]
        for wrong_range in ranges:
            with pytest.raises(ConfigurationError, match="version"):
                amq.rpc_proxy("shop", "one", "till", version=wrong_range)
        proxy = await amq.rpc_proxy("shop", "one", "till")
        with pytest.raises(ConfigurationError, match="version"):
            proxy.with_options(version="=>2")
