"""The private NATS server: started, asked, restarted; with JetStream, its streams stay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness import Nats, wait_until
from harness.net import dial


@pytest.fixture(scope="module")
def nats() -> Iterator[Nats]:
    with Nats(jetstream=True) as server:
        yield server


def talk(server: Nats, words: bytes) -> bytes:
    """What the server says to words that end with PING."""
    with dial(server.address, 5) as stream, stream.makefile("rb") as heard:
        heard.readline()
        stream.sendall(b'CONNECT {"verbose":false}\r\n' + words + b"PING\r\n")
        lines = b""
        while not lines.endswith(b"PONG\r\n"):
            lines += heard.readline()
        return lines


def test_it_carries_a_message_and_tells_who_listens(nats: Nats) -> None:
    with dial(nats.address, 5) as stream, stream.makefile("rb") as heard:
        heard.readline()
        stream.sendall(b"CONNECT {}\r\nSUB rooms.* all 1\r\nSUB rooms.1 2\r\nPING\r\n")
        assert [heard.readline() for _ in range(4)][-1] == b"PONG\r\n"
        assert nats.subscribers() == {"rooms.*": ["all"], "rooms.1": [""]}
        assert talk(nats, b"PUB rooms.2 4\r\n21.5\r\n") == b"PONG\r\n"
        assert heard.readline() + heard.readline() == b"MSG rooms.2 1 4\r\n21.5\r\n"
    wait_until(lambda: nats.subscribers() == {})


def test_it_takes_messages_of_many_megabytes(nats: Nats) -> None:
    assert nats.about("varz")["max_payload"] == 64 * 1024 * 1024


def test_streams_stay_when_it_is_restarted(nats: Nats) -> None:
    talk(nats, b'PUB $JS.API.STREAM.CREATE.kept 38\r\n{"name": "kept", "subjects": ["kept"]}\r\n')
    wait_until(lambda: nats.about("jsz")["streams"] == 1)
    nats.restart()
    assert nats.about("jsz")["streams"] == 1
