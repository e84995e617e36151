"""The connections between instances at a Redis: how they are made, lost and made again, and what they refuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from harness import UP, Authority, Redis, Relay, free_port
from ironbridge._app.ws import relay_native
from ironbridge.app import RedisWebSocketConnectionBackend
from ironbridge.errors import AuthenticationError, Overloaded, PayloadError, ServiceUnavailable
from redis.asyncio import Redis as Client
from redis.asyncio import SSLConnection
from redis.credentials import UsernamePasswordCredentialProvider

from app.waiting import until

Heard = list[tuple[bytes, Sequence[str] | None]]


@pytest.fixture
def own() -> Iterator[Redis]:
    """A Redis that the test may break."""
    with Redis() as server:
        yield server


@asynccontextmanager
async def instance(
    conn: Any, heard: Heard | None = None, retry_delay: float = 0.05
) -> AsyncIterator[RedisWebSocketConnectionBackend]:
    """One instance of an application; `heard` gets what is delivered to its websockets."""
    backend = RedisWebSocketConnectionBackend(conn, "test:broadcast", "test:send", retry_delay=retry_delay)
    kept = heard if heard is not None else []
    await backend.start(lambda data, rooms: kept.append((data, rooms)), dict)
    try:
        yield backend
    finally:
        await backend.stop()


def url_of(redis: Redis | Relay, who: str = "") -> str:
    place = redis.address
    assert not isinstance(place, str)
    host, port = place
    return f"redis://{who}{host}:{port}"


def names(redis: Redis) -> bytes:
    """Who is connected."""
    return redis.ask("CLIENT", "LIST")


async def fails(backend: RedisWebSocketConnectionBackend) -> bool:
    """Whether it is not ready now."""
    try:
        await backend.check()
    except ServiceUnavailable:
        return True
    return False


async def test_what_is_published_at_once_arrives_in_order(own: Redis) -> None:
    here: Heard = []
    there: Heard = []
    async with instance(url_of(own), here) as one, instance(url_of(own), there):
        sent = [b"%d" % number for number in range(500)]
        await asyncio.gather(*(one.broadcast(data) for data in sent), one.send(["a", "b"], b"\0last"))
        await until(lambda: len(here) == len(there) == 501)
    assert here == there == [*((data, None) for data in sent), (b"\0last", ["a", "b"])]


async def test_a_lost_connection_is_told_and_made_again(own: Redis, caplog: pytest.LogCaptureFixture) -> None:
    heard: Heard = []
    async with instance(url_of(own), heard) as one:
        await asyncio.to_thread(own.stop)
        await until(lambda: fails(one))
        with pytest.raises(ServiceUnavailable, match="did not take a message"):
            await one.broadcast(b"lost")
        await asyncio.to_thread(own.start)
        await until(lambda: one._relay.subscribed.is_set())
        await one.check()
        await one.broadcast(b"again")
        await until(lambda: len(heard) > 0)
    assert heard == [(b"again", None)]
    assert "the subscription to websockets' messages was lost" in caplog.text


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
async def test_what_is_published_brings_lost_connections_back_at_once(own: Redis, kind: str) -> None:
    heard: Heard = []
    async with instance(url_of(own), heard, retry_delay=3600) as one:
        own.ask("CLIENT", "KILL", "TYPE", kind)
        await until(lambda: fails(one))
        await one.broadcast(b"again")
        await until(lambda: len(heard) > 0)
        await one.check()
    assert heard == [(b"again", None)]


async def test_what_waits_for_an_answer_when_the_connection_is_lost_is_told(own: Redis) -> None:
    with Relay(own.address) as relay:
        async with instance(url_of(relay)) as one:
            relay.stop_reading(UP)
            asking = asyncio.ensure_future(one.broadcast(b"in between"))
            await asyncio.sleep(0)
            relay.cut()
            with pytest.raises(ServiceUnavailable) as raised:
                await asking
            assert raised.value.may_have_run
            relay.read_again()


async def test_a_redis_that_hangs_is_left_and_come_back_to(own: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"_TIMEOUT": 0.3, "_PING_INTERVAL": 0.1, "_LOOK": 0.05, "_CONNECT_TIMEOUT": 0.3}.items():
        monkeypatch.setattr(relay_native, name, seconds)
    heard: Heard = []
    async with instance(url_of(own), heard) as one:
        own.freeze()
        with pytest.raises(ServiceUnavailable, match="Redis"):
            await one.broadcast(b"lost")
        await until(lambda: not one._relay.subscribed.is_set())
        own.thaw()
        await until(lambda: one._relay.subscribed.is_set())
        await one.broadcast(b"again")
        await until(lambda: (b"again", None) in heard)


async def test_a_refusal_is_told(own: Redis) -> None:
    async with instance(url_of(own)) as one:
        own.ask("ACL", "SETUSER", "default", "-publish")
        with pytest.raises(ServiceUnavailable, match=r"refuses .* NOPERM"):
            await one.broadcast(b"x")
        own.ask("ACL", "SETUSER", "default", "+publish")
        await one.broadcast(b"x")


async def test_a_password_is_given_or_asked_for(own: Redis, caplog: pytest.LogCaptureFixture) -> None:
    own.ask("ACL", "SETUSER", "bob", "on", ">p@ss", "~*", "&*", "+@all")
    own.ask("ACL", "SETUSER", "eve", "on", "nopass", "~*", "&*", "+@all")
    own.ask("CONFIG", "SET", "requirepass", "secret")
    for who in (":secret@", "bob:p%40ss@", "eve@"):
        heard: Heard = []
        async with instance(url_of(own, who) + "/3", heard) as one:
            await one.broadcast(b"x")
            await until(lambda heard=heard: len(heard) > 0)  # type: ignore[misc]
    with pytest.raises(AuthenticationError, match="does not let this node in: NOAUTH"):
        async with instance(url_of(own)):
            pass
    assert caplog.text == ""


async def test_a_message_over_the_bound_is_passed_over(
    own: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("IRONBRIDGE_MAX_FRAME", "4096")
    heard: Heard = []
    async with instance(url_of(own), heard) as one, Client(host=own.host, port=own.port) as client:
        with pytest.raises(PayloadError, match="5000 bytes is over the bound of 4096"):
            await one.broadcast(bytes(5000))
        await client.publish("test:broadcast", bytes(100_000))
        await client.publish("test:send", b"no rooms")
        await client.publish("test:broadcast", b"small")
        await until(lambda: len(heard) > 0)
    assert heard == [(b"small", None)]
    assert "of 100000 bytes is over the bound" in caplog.text
    assert "without rooms is dropped (8 bytes)" in caplog.text


async def test_when_too_much_waits_for_redis_more_is_refused(own: Redis) -> None:
    piece, count = bytes(1 << 20), 0
    with Relay(own.address) as relay:
        async with instance(url_of(relay)) as one:
            relay.stop_reading(UP)
            asked = [asyncio.ensure_future(one.broadcast(piece)) for _ in range(20)]
            done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_EXCEPTION)
            refused = [one.exception() for one in done]
            assert refused and all(isinstance(error, Overloaded) for error in refused)
            count = len(waiting)
            relay.read_again(UP)
            await asyncio.gather(*waiting)
    assert 10 < count < 16


async def test_a_publish_that_is_given_up_leaves_the_others_their_answers(own: Redis) -> None:
    async with instance(url_of(own)) as one:
        given_up = asyncio.ensure_future(one.broadcast(b"a"))
        await asyncio.sleep(0)
        others = asyncio.gather(one.broadcast(b"b"), one.broadcast(b"c"))
        given_up.cancel()
        await others
        await one.check()


async def test_a_unix_socket_will_do(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with Redis("--unixsocket", path) as own:
        for conn in (f"redis-socket://{path}", f"unix://{path}?db=2", Client(unix_socket_path=str(path))):
            heard: Heard = []
            async with instance(conn, heard) as one:
                await one.broadcast(b"x")
                await until(lambda heard=heard: len(heard) > 0)  # type: ignore[misc]
                assert b"name=ironbridge-app" in names(own)


async def test_an_encrypted_connection_checks_the_server(tmp_path: Path) -> None:
    authority, port = Authority(tmp_path), free_port()
    files: list[str | Path] = ["--tls-cert-file", tmp_path / "certificate.pem", "--tls-key-file", tmp_path / "key.pem"]
    trusted: list[str | Path] = ["--tls-ca-cert-file", authority.ca, "--tls-auth-clients", "no"]
    with Redis("--tls-port", str(port), *files, *trusted) as own:
        heard: Heard = []
        url = f"rediss://localhost:{port}?ssl_check_hostname=true"
        async with instance(f"{url}&ssl_ca_certs={authority.ca}", heard) as one:
            await one.broadcast(bytes(300_000))
            await until(lambda: len(heard) > 0)
            assert b"name=ironbridge-app" in names(own)
        with pytest.raises(AuthenticationError, match="certificate"):
            async with instance(url):
                pass


async def test_a_client_that_connects_as_only_it_can_carries_the_messages_itself(own: Redis, tmp_path: Path) -> None:
    provider = UsernamePasswordCredentialProvider("default", "")
    where = {"host": own.host, "port": own.port}
    for more in ({"credential_provider": provider}, {"credential_provider": provider, "decode_responses": True}):
        heard: Heard = []
        async with Client(**where, **more) as client, instance(client, heard) as one:  # type: ignore[arg-type]
            assert b"name=ironbridge-app" not in names(own)
            await one.broadcast(b"x")
            await one.send(["a"], b"y")
            await until(lambda heard=heard: len(heard) == 2)  # type: ignore[misc]
            assert heard == [(b"x", None), (b"y", ["a"])]
            await one.check()


def test_what_of_a_client_the_engine_can_do_is_told() -> None:
    from ironbridge._app.ws.address import address_of

    def can(client: Client) -> bool:
        return address_of(client) is not None

    usual: dict[str, Any] = {"ssl": True, "ssl_check_hostname": True}
    assert can(Client()) and can(Client(username="bob", password="p", db=3, decode_responses=True))
    assert can(Client(**usual)) and can(Client(**usual, ssl_ca_certs="ca.pem", ssl_certfile="own.pem"))
    assert not can(Client(**usual, ssl_cert_reqs="none"))
    assert not can(Client(**usual, ssl_ca_data="…"))
    assert not can(Client(ssl=True, ssl_check_hostname=False))
    assert not can(Client(unix_socket_path="relative"))

    class Own(SSLConnection):
        """A way to connect of the user's."""

    client = Client(**usual)
    client.connection_pool.connection_class = Own
    assert not can(client)
