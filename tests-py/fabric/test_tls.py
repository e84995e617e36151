"""TLS to the broker, with certificates of either side, and what is said when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import Authority, RabbitMQ
from ironbridge.fabric import AbstractServiceApi, AmqBrokerConnector, BrokerUnavailable, ConfigurationError

from fabric.inbox import bodies, connector


class Echo(AbstractServiceApi):
    async def say(self, text: str) -> str:
        return text


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority, which the broker does not know, nor its clients."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def broker(authority: Authority) -> Iterator[RabbitMQ]:
    """It speaks TLS beside plain TCP, and lets anybody in."""
    with RabbitMQ(authority=authority) as broker:
        yield broker


@pytest.fixture(scope="module")
def strict(authority: Authority) -> Iterator[RabbitMQ]:
    """It asks for its clients' certificates."""
    with RabbitMQ(authority=authority, ask_certificate=True) as broker:
        yield broker


async def works(amq: AmqBrokerConnector) -> None:
    """Calls itself, and publishes more than a record of TLS holds."""
    inbox = bodies()
    async with amq:
        await amq.rpc_register(Echo())
        assert await (await amq.rpc_proxy("shop", "one", "till")).say(text="x" * 200_000) == "x" * 200_000
        await amq.subscribe_data("reader", {}, inbox)
        await amq.publish_data(b"y" * 200_000, {})
        assert await inbox.came() == [b"y" * 200_000]


async def refused(amq: AmqBrokerConnector, *told: str) -> None:
    """It cannot be opened, which is told at once, and why."""
    with pytest.raises(ConfigurationError) as caught:
        async with asyncio.timeout(20):
            await amq.open(timeout=60)
    for words in told:
        assert words in str(caught.value)
    assert amq.state == "closed"


async def test_a_brokers_certificate_is_trusted_by_its_authority(broker: RabbitMQ, authority: Authority) -> None:
    await works(connector(broker.uri(tls=True), tls_ca=authority.ca))
    await works(connector(broker.uri(tls=True), tls_ca=str(authority.ca)))


async def test_the_uri_may_name_the_authority(broker: RabbitMQ, authority: Authority) -> None:
    await works(connector(f"{broker.uri(tls=True)}?cafile={authority.ca}"))


def test_without_a_loop_it_is_the_same(broker: RabbitMQ, authority: Authority) -> None:
    with connector(broker.uri(tls=True), tls_ca=authority.ca) as amq:
        amq.publish_data(b"", {})


async def test_the_system_does_not_trust_it(broker: RabbitMQ) -> None:
    await refused(connector(broker.uri(tls=True)), "certificate", "tls_ca")


async def test_another_authority_does_not_either(broker: RabbitMQ, stranger: Authority) -> None:
    await refused(connector(broker.uri(tls=True), tls_ca=stranger.ca), "certificate", f"localhost:{broker.tls_port}")


async def test_a_certificate_is_for_the_name_that_is_called(broker: RabbitMQ, authority: Authority) -> None:
    uri = broker.uri(tls=True).replace("localhost", "127.0.0.1")
    await refused(connector(uri, tls_ca=authority.ca), "127.0.0.1", "host name")


async def test_a_broker_that_asks_is_shown_the_clients_own(strict: RabbitMQ, authority: Authority) -> None:
    certificate, key = authority.issue("till")
    await works(connector(strict.uri(tls=True), tls_ca=authority.ca, tls_cert=certificate, tls_key=key))
    query = f"?cafile={authority.ca}&certfile={certificate}&keyfile={key}"
    await works(connector(strict.uri(tls=True) + query))


async def test_certificate_and_key_may_be_in_one_file(strict: RabbitMQ, authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("both")
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    await works(connector(strict.uri(tls=True), tls_ca=authority.ca, tls_cert=both))


async def test_a_broker_that_asks_is_not_content_with_none(strict: RabbitMQ, authority: Authority) -> None:
    await refused(connector(strict.uri(tls=True), tls_ca=authority.ca), "certificate", "tls_cert")


async def test_nor_with_one_of_a_strangers(strict: RabbitMQ, authority: Authority, stranger: Authority) -> None:
    certificate, key = stranger.issue("till")
    amq = connector(strict.uri(tls=True), tls_ca=authority.ca, tls_cert=certificate, tls_key=key)
    await refused(amq, "certificate")


async def test_plain_amqp_at_a_port_for_tls_is_told(broker: RabbitMQ) -> None:
    uri = broker.uri(at=("localhost", broker.tls_port))
    amq = connector(uri)
    with pytest.raises((ConfigurationError, BrokerUnavailable)) as caught:
        await amq.open(timeout=2)
    assert "amqps://" in str(caught.value)


async def test_tls_at_a_port_for_plain_amqp_is_told(broker: RabbitMQ, authority: Authority) -> None:
    uri = broker.uri(tls=True).replace(str(broker.tls_port), str(broker.port))
    await refused(connector(uri, tls_ca=authority.ca), "5671", "amqp://")


async def test_files_that_cannot_be_read_are_named(broker: RabbitMQ, authority: Authority, tmp_path: Path) -> None:
    missing, empty, other = tmp_path / "missing.pem", tmp_path / "empty.pem", tmp_path / "other.pem"
    empty.write_text("")
    other.write_text("-----BEGIN CERTIFICATE-----\nthis is none\n-----END CERTIFICATE-----\n")
    certificate, key = authority.issue("till")
    _, key_of_another = authority.issue("another")
    uri = broker.uri(tls=True)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"tls_ca": missing}, "missing.pem"),
        ({"tls_ca": empty}, "empty.pem"),
        ({"tls_ca": other}, "other.pem"),
        ({"tls_ca": tmp_path}, str(tmp_path)),
        ({"tls_ca": authority.ca, "tls_cert": missing, "tls_key": key}, "missing.pem"),
        ({"tls_ca": authority.ca, "tls_cert": certificate, "tls_key": missing}, "missing.pem"),
        ({"tls_ca": authority.ca, "tls_cert": certificate}, certificate.name),
        ({"tls_ca": authority.ca, "tls_cert": certificate, "tls_key": key_of_another}, "another.key"),
    ]
    for files, told in cases:
        await refused(connector(uri, **files), told)


def test_options_that_contradict_each_other_are_refused_at_once(broker: RabbitMQ, authority: Authority) -> None:
    _, key = authority.issue("till")
    cases: list[tuple[str, dict[str, Any]]] = [
        (broker.uri(), {"tls_ca": authority.ca}),
        (f"{broker.uri()}?cafile={authority.ca}", {}),
        (broker.uri(tls=True), {"tls_key": key}),
    ]
    for uri, files in cases:
        with pytest.raises(ConfigurationError, match=r"amqps://|tls_cert"):
            connector(uri, **files)
    with pytest.raises(ConfigurationError, match="no_verify_ssl"):
        connector(f"{broker.uri(tls=True)}?no_verify_ssl=1")
    wrong: Any
    for wrong in (3, b"ca.pem", ["ca.pem"], ""):
        with pytest.raises(ConfigurationError, match="tls_ca"):
            connector(broker.uri(tls=True), tls_ca=wrong)
