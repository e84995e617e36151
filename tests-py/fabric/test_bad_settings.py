"""What cannot be is said at once, by an error of the tree that says what, where, and what to do."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aio_pika
import pytest
from harness import RabbitMQ, free_port, lenient
from ironbridge.fabric import (
    AbstractServiceApi,
    AmqBrokerConnector,
    AuthenticationError,
    BrokerUnavailable,
    ConfigurationError,
    IdentityError,
    IronbridgeError,
    ServiceAlreadyExists,
    ServiceUnavailable,
    action,
)

from fabric.inbox import bodies, connector

SOMEWHERE = "amqp://127.0.0.1/"


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("", "URI"),
        ("localhost", "URI"),
        ("http://localhost/", "http"),
        ("amqp://", "host"),
        ("amqp:///shop", "host"),
        ("amqp://ada:pass/word@localhost/", "URI"),
        ("amqp://localhost:port/", "URI"),
        ("amqp://localhost:99999/", "URI"),
        ("amqp://localhost:0/", "port 0"),
        ("amqp://localhost/?heartbeat=soon", "heartbeat"),
        ("amqp://localhost/?heartbeat=-1", "heartbeat"),
        ("amqp://localhost/?hartbeat=10", "hartbeat.*heartbeat"),
        ("amqp://localhost/?heartbeat=1&heartbeat=2", "twice"),
        ("amqp://localhost/" + "v" * 256, "vhost"),
        (3, "amqp_uri"),
        (b"amqp://localhost/", "amqp_uri"),
    ],
    ids=str,
)
def test_a_uri_that_cannot_be_is_refused_without_showing_its_password(uri: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        connector(uri)
    assert "pass" not in str(caught.value).replace("password", "")


@pytest.mark.parametrize("part", ["service_domain", "service_type", "service_id"])
def test_a_part_of_an_identity_that_cannot_be_is_named(part: str) -> None:
    """As the originals' error it is an `AttributeError`."""
    wrong: Any
    named: dict[str, Any]
    for wrong in ("", "a b", "a/b", "a:b", "a..b", "ü", "x" * 64, "a\n", "\0", None, 5, b"x", ["x"]):
        named = {"service_domain": "shop", "service_type": "till", "service_id": "one", part: wrong}
        with pytest.raises(IdentityError, match=part) as caught:
            AmqBrokerConnector(SOMEWHERE, **named)
        assert isinstance(caught.value, ConfigurationError)
        assert isinstance(caught.value, AttributeError)
    for fine in ("x", "x" * 63, "A-Z_0-9", "-"):
        named = {"service_domain": "d", "service_type": "t", "service_id": "i", part: fine}
        assert fine in AmqBrokerConnector(SOMEWHERE, **named).fqn


async def test_the_identity_of_a_service_that_is_called_is_looked_at_too(vhost: str) -> None:
    async with connector(vhost) as amq:
        wrong: Any
        for place, part in enumerate(("service_domain", "service_id", "service_type")):
            for wrong in ("", "a b", None, 5):
                service = ["shop", "one", "till"]
                service[place] = wrong
                with pytest.raises(IdentityError, match=part):
                    amq.rpc_proxy(*service)
        for wrong in ("", "a b", 5):
            with pytest.raises(IdentityError, match="domain"):
                amq.follow_logs(bodies(), domain=wrong)
            with pytest.raises(IdentityError, match="domain"):
                amq.subscribe_data("reader", {}, bodies(), domain=wrong)


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("prefetch", [0, -1, 65_536, 1.5, "8", True]),
        ("workers", [0, -1, 1.5, "8", True]),
        ("heartbeat", [0, -1, 0.5, "10", True, float("nan"), float("inf")]),
        ("call_timeout", [-1, "10", True, float("nan")]),
        ("keep_alive_seconds", ["5", float("nan"), float("inf"), 0.001]),
        ("discovery_cache_ttl", [-1, 0, "5", True, float("nan")]),
        ("discovery_exchange", [3, b"x"]),
        ("codec", ["pickle", "", None, 3]),
        ("options", [{"no_such": 1}, {"outbox_messages": 0}, {"outbox_messages": "many"}, {"prefetch": 0}, [], 3]),
        ("on_state", ["print", 3]),
        ("on_error", ["print", 3]),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_an_option_that_cannot_be_is_named(option: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ConfigurationError) as caught:
            pytest.fail(f"{option}={value!r} gave {AmqBrokerConnector(SOMEWHERE, 'd', 't', 'i', **{option: value})}")
        named = next(iter(value), option) if isinstance(value, dict) else option
        assert named in str(caught.value), value


def test_an_option_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(ConfigurationError, match=r"outbox_mesages.*outbox_messages"):
        connector(SOMEWHERE, options={"outbox_mesages": 1})


def test_the_environment_is_looked_at_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IRONBRIDGE_FABRIC_OUTBOX_MESSAGES", "many")
    with pytest.raises(ConfigurationError, match="IRONBRIDGE_FABRIC_OUTBOX_MESSAGES"):
        connector(SOMEWHERE)


async def test_what_is_looked_for_and_who_is_called_back_are_looked_at(vhost: str) -> None:
    wrong: Any
    async with connector(vhost) as amq:
        for wrong in (None, "print", 3):
            with pytest.raises(ConfigurationError, match="callback"):
                amq.subscribe_service_keepalives("watcher", wrong)
            with pytest.raises(ConfigurationError, match="callback"):
                amq.follow_logs(wrong)
            with pytest.raises(ConfigurationError, match="handler"):
                amq.init_logging_handler(wrong)
        with pytest.raises(ConfigurationError, match="subscriber_name"):
            amq.subscribe_service_keepalives(wrong, print)
        for name in ("service_domain", "service_type", "service_id"):
            with pytest.raises(ConfigurationError, match=name):
                amq.subscribe_service_keepalives("watcher", print, **{name: wrong})
        for name in ("service_type", "service_id", "level"):
            with pytest.raises(ConfigurationError, match=name):
                amq.follow_logs(bodies(), **{name: wrong})


async def raises(
    kind: type[IronbridgeError], told: str, amq: AmqBrokerConnector, within: float = 60
) -> IronbridgeError:
    """Opening fails at once, says why, and leaves nothing open."""
    began = time.monotonic()
    with pytest.raises(kind, match=told) as caught:
        await amq.open(timeout=within)
    assert time.monotonic() - began < lenient(5.0)
    assert amq.state == "closed"
    await amq.close()
    return caught.value


async def test_a_wrong_password_is_told_at_once(rabbitmq: RabbitMQ) -> None:
    for uri in (rabbitmq.uri(password="wrong"), rabbitmq.uri("nobody", "x")):
        error = await raises(AuthenticationError, "password", connector(uri))
        assert "wrong" not in str(error)


async def test_a_missing_vhost_and_one_that_is_not_allowed_are_told_at_once(
    rabbitmq: RabbitMQ, vhost_name: str
) -> None:
    await raises(ConfigurationError, "vhost.*missing", connector(rabbitmq.uri(vhost="missing")))
    rabbitmq.add_user("stranger", "secret", vhost_name)
    await raises(ConfigurationError, "vhost", connector(rabbitmq.uri("stranger", "secret")))


async def test_what_a_user_may_not_do_is_told_at_once(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    rabbitmq.add_user("guarded", "secret", vhost_name, permissions="^$")
    error = await raises(AuthenticationError, "guarded", connector(rabbitmq.uri("guarded", "secret", vhost_name)))
    assert "secret" not in str(error)


async def test_a_host_that_is_not_there_is_tried_for_the_time_that_is_given() -> None:
    for uri in (f"amqp://127.0.0.1:{free_port()}/", "amqp://no-such-host.invalid/"):
        amq = connector(uri)
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable, match=r"within 0\.3 s: ") as caught:
            await amq.open(timeout=0.3)
        assert 0.25 < time.monotonic() - began < lenient(3.0)
        assert isinstance(caught.value, ServiceUnavailable)
        assert isinstance(caught.value, ConnectionError)


async def test_a_broker_that_comes_in_time_is_found() -> None:
    broker = RabbitMQ()
    port = broker.port
    amq = connector(f"amqp://127.0.0.1:{port}/", on_error=None)
    opening = asyncio.ensure_future(amq.open(timeout=50))
    try:
        await asyncio.to_thread(broker.start)
        await opening
        assert amq.state == "connected"
        await amq.close()
    finally:
        broker.close()


@pytest.mark.parametrize("name", ["shop.data", "shop.log.records", "msc.discovery"])
async def test_an_exchange_that_is_there_with_other_properties_is_told(vhost: str, name: str) -> None:
    async with await aio_pika.connect(vhost) as connection:
        channel = await connection.channel()
        await channel.declare_exchange(name, aio_pika.ExchangeType.DIRECT)
        await raises(ConfigurationError, rf"{name}.*(other|inequivalent)", connector(vhost))


async def test_a_service_whose_exchange_or_queue_is_another_kind_is_told(vhost: str) -> None:
    async with await aio_pika.connect(vhost) as connection, connector(vhost) as amq:
        channel = await connection.channel()
        await channel.declare_exchange("shop.api.till.other", aio_pika.ExchangeType.FANOUT)
        with pytest.raises(ConfigurationError, match=r"shop\.api\.till\.other"):
            await amq.rpc_proxy("shop", "other", "till")
        await channel.declare_queue("shop.api.till.one::health_check", durable=True)
        with pytest.raises(ConfigurationError, match=r"shop\.api\.till\.one::health_check"):
            await amq.rpc_register(AbstractServiceApi())
        # The connector goes on.
        await (await amq.rpc_proxy("shop", "fine", "till"))


class Twice(AbstractServiceApi):
    @action(name="same")
    def one(self) -> None: ...

    @action(name="same")
    def two(self) -> None: ...


class Nothing:
    attribute = 3

    def _private(self) -> None: ...


async def test_what_cannot_be_served_is_told(vhost: str) -> None:
    async with connector(vhost) as amq:
        cases: list[tuple[Any, str]] = [
            (Twice, r"rpc_register\(Twice\(\)\)"),
            (Twice(), "two methods.*'same'"),
            (Nothing(), "Nothing has no public method"),
            (object(), "no public method"),
        ]
        for api, told in cases:
            with pytest.raises(ConfigurationError, match=told):
                amq.rpc_register(api)
        long = type("Long", (), {"x" * 250: lambda self: None})
        with pytest.raises(ConfigurationError, match="255"):
            amq.rpc_register(long())
        await amq.rpc_register(AbstractServiceApi())
        one = type("One", (AbstractServiceApi,), {"same": lambda self: 1})
        await amq.rpc_register(one())
        with pytest.raises(ServiceAlreadyExists, match="'same'"):
            amq.rpc_register(one())


async def test_a_connector_that_is_not_open_says_so(vhost: str) -> None:
    amq = connector(vhost)
    for opened in (False, True):
        if opened:
            async with amq:
                with pytest.raises(ConfigurationError, match="open already"):
                    amq.open()
        for wrong in (
            lambda: amq.publish_data(b"", {}),
            lambda: amq.subscribe_data("reader", {}, bodies()),
            lambda: amq.rpc_register(AbstractServiceApi()),
            lambda: amq.rpc_proxy("shop", "one", "till"),
            lambda: amq.list_services(),
            lambda: amq.follow_logs(bodies()),
            lambda: amq.retain_data("stream", {}),
            lambda: amq.subscribe_service_keepalives("watcher", print),
        ):
            with pytest.raises(ServiceUnavailable, match=r"open|closed"):
                wrong()
    with pytest.raises(ConfigurationError, match="async with"):
        amq.__enter__()
