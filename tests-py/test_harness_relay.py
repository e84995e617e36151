"""The fault relay: what goes in comes out, except as a test has asked."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import DOWN, UP, Relay, lenient
from harness.net import Address, dial


class Echo:
    """Accepts connections for the test to hold: `take()` gives the server's side of the next one."""

    def __init__(self, address: Address) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.listener = socket.socket(family)
        self.listener.bind(address)
        self.listener.listen(64)
        self.listener.settimeout(10)
        self.taken: list[socket.socket] = []

    def take(self) -> socket.socket:
        stream, _ = self.listener.accept()
        stream.settimeout(10)
        self.taken.append(stream)
        return stream

    def close(self) -> None:
        for stream in [*self.taken, self.listener]:
            stream.close()


@pytest.fixture(params=["tcp", "unix"])
def target(request: pytest.FixtureRequest) -> Iterator[Echo]:
    with tempfile.TemporaryDirectory() as folder:
        address: Address = ("127.0.0.1", 0) if request.param == "tcp" else str(Path(folder) / "echo.sock")
        echo = Echo(address)
        yield echo
        echo.close()


@pytest.fixture
def relay(target: Echo) -> Iterator[Relay]:
    with Relay(target.listener.getsockname()) as relay:
        yield relay


@pytest.fixture
def ends(relay: Relay, target: Echo) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The client's end and the server's end of one relayed connection."""
    with dial(relay.address, 10) as client:
        yield client, target.take()


Ends = tuple[socket.socket, socket.socket]


def read_all(stream: socket.socket, count: int) -> bytes:
    taken = bytearray()
    while len(taken) < count:
        piece = stream.recv(count - len(taken))
        if not piece:
            break
        taken += piece
    return bytes(taken)


def silent(stream: socket.socket) -> bool:
    """Nothing to read now."""
    stream.setblocking(False)
    try:
        stream.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    finally:
        stream.settimeout(10)
    return False


def test_bytes_pass_both_ways_and_are_counted(relay: Relay, ends: Ends) -> None:
    client, server = ends
    client.sendall(b"question")
    assert read_all(server, 8) == b"question"
    server.sendall(b"answer")
    assert read_all(client, 6) == b"answer"
    relay.wait_passed(DOWN, 6)
    assert (relay.passed(UP), relay.passed(DOWN)) == (8, 6)
    assert (relay.connections, relay.accepted) == (1, 1)


def test_two_megabytes_arrive_in_order(ends: Ends) -> None:
    client, server = ends
    sent = bytes(range(256)) * 8192
    sender = threading.Thread(target=client.sendall, args=(sent,))
    sender.start()
    assert read_all(server, len(sent)) == sent
    sender.join()


def test_a_delay_holds_each_piece_and_keeps_their_order(relay: Relay, ends: Ends) -> None:
    client, server = ends
    relay.delay(0.2, UP)
    begin = time.monotonic()
    client.sendall(b"slow ")
    client.sendall(b"words")
    assert read_all(server, 10) == b"slow words"
    assert time.monotonic() - begin >= 0.2
    begin = time.monotonic()
    server.sendall(b"!")
    assert read_all(client, 1) == b"!"
    assert time.monotonic() - begin < lenient(0.15)
    relay.delay(0.3, UP)
    client.sendall(b"first")
    relay.delay(0, UP)
    client.sendall(b"second")
    assert read_all(server, 11) == b"firstsecond"


def test_a_cut_ends_every_connection_and_a_new_one_works(relay: Relay, target: Echo, ends: Ends) -> None:
    client, server = ends
    relay.cut()
    assert relay.connections == 0
    for end in (client, server):
        if end.family == socket.AF_INET:
            with pytest.raises(ConnectionResetError):
                end.recv(1)
        else:
            assert end.recv(1) == b""
    with dial(relay.address, 10) as again:
        again.sendall(b"x")
        assert read_all(target.take(), 1) == b"x"


def test_a_cut_after_n_bytes_lets_exactly_those_through(relay: Relay, ends: Ends) -> None:
    client, server = ends
    relay.cut_after(UP, 3)
    client.sendall(b"abcdef")
    assert read_all(server, 6) == b"abc"
    relay.wait_ended()


def test_a_half_close_ends_one_direction_only(relay: Relay, ends: Ends) -> None:
    client, server = ends
    client.sendall(b"last")
    relay.wait_passed(UP, 4)
    relay.half_close(UP)
    assert read_all(server, 5) == b"last"
    server.sendall(b"still here")
    assert read_all(client, 10) == b"still here"
    server.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    relay.wait_ended()


def test_a_peer_that_closes_is_seen_on_the_other_side(relay: Relay, ends: Ends) -> None:
    client, server = ends
    client.sendall(b"bye")
    client.shutdown(socket.SHUT_WR)
    assert read_all(server, 4) == b"bye"
    server.close()
    assert client.recv(1) == b""
    relay.wait_ended()


def test_a_relay_that_stops_reading_blocks_the_sender_and_loses_nothing(relay: Relay, ends: Ends) -> None:
    client, server = ends
    relay.stop_reading(UP)
    sent = b"x" * 8_000_000
    client.settimeout(0.2)
    held = 0
    with pytest.raises(TimeoutError):
        while held < len(sent):
            held += client.send(sent[held : held + 65536])
    assert 0 < held < len(sent)
    assert silent(server)
    server.sendall(b"the other way is open")
    client.settimeout(10)
    assert read_all(client, 21) == b"the other way is open"
    relay.read_again(UP)
    assert len(read_all(server, held)) == held


def test_one_byte_is_corrupted_on_demand(relay: Relay, ends: Ends) -> None:
    client, server = ends
    client.sendall(b"good")
    assert read_all(server, 4) == b"good"
    relay.corrupt(UP, at=2)
    client.sendall(b"abcd")
    assert read_all(server, 4) == bytes([ord("a"), ord("b"), ord("c") ^ 0xFF, ord("d")])
    client.sendall(b"good")
    assert read_all(server, 4) == b"good"
    relay.change(UP, lambda piece: piece.upper())
    client.sendall(b"loud")
    assert read_all(server, 4) == b"LOUD"


def test_a_refusing_relay_closes_new_connections(relay: Relay, target: Echo) -> None:
    relay.refuse()
    with dial(relay.address, 10) as client:
        assert client.recv(1) == b""
    relay.welcome()
    with dial(relay.address, 10) as client:
        target.take().sendall(b"hi")
        assert read_all(client, 2) == b"hi"


def test_a_target_that_is_gone_closes_the_client(relay: Relay, target: Echo) -> None:
    target.listener.close()
    with dial(relay.address, 10) as client:
        assert client.recv(1) == b""


def test_many_connections_at_once(relay: Relay, target: Echo) -> None:
    clients = [dial(relay.address, 10) for _ in range(40)]
    try:
        servers = [target.take() for _ in clients]
        for number, client in enumerate(clients):
            client.sendall(b"%04d" % number)
        assert sorted(read_all(server, 4) for server in servers) == [b"%04d" % n for n in range(40)]
        relay.wait_accepted(40)
        assert relay.connections == 40
    finally:
        for client in clients:
            client.close()
