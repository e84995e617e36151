"""Private servers and child programs: started, frozen, restarted and killed, with a real Redis."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import aiomqtt
import pytest
from harness import Mosquitto, PrivateServer, Program, Redis, Relay, wait_until
from harness.net import dial


@pytest.fixture(scope="module")
def shared_redis() -> Iterator[Redis]:
    with Redis() as server:
        yield server


@pytest.fixture
def redis(shared_redis: Redis) -> Redis:
    if not shared_redis.running:
        shared_redis.start()
    return shared_redis


def test_a_private_redis_answers_on_its_own_port(redis: Redis) -> None:
    assert redis.ask("PING") == b"+PONG\r\n"
    with Redis() as other:
        assert other.port != redis.port
        redis.ask("SET", "mine", "1")
        assert other.ask("GET", "mine") == b"$-1\r\n"


def test_a_frozen_server_accepts_and_does_not_answer_until_it_thaws(redis: Redis) -> None:
    redis.freeze()
    with dial(redis.address, 0.1) as stream:
        stream.sendall(b"PING\r\n")
        with pytest.raises(TimeoutError):
            stream.recv(16)
        redis.thaw()
        stream.settimeout(5)
        assert stream.recv(16) == b"+PONG\r\n"


def test_a_frozen_server_can_be_stopped(redis: Redis) -> None:
    redis.freeze()
    redis.stop()
    assert not redis.running


def test_a_restarted_server_has_its_port_again_and_another_process(redis: Redis) -> None:
    port, pid = redis.port, redis.process.pid
    with dial(redis.address, 5) as stream:
        redis.restart()
        assert stream.recv(1) == b""
    assert (redis.port, redis.ask("PING")) == (port, b"+PONG\r\n")
    assert redis.process.pid != pid


def test_a_killed_server_is_gone_at_once_and_starts_again(redis: Redis) -> None:
    redis.kill()
    assert redis.process.returncode == -signal.SIGKILL
    with pytest.raises(ConnectionRefusedError):
        dial(redis.address, 5)
    redis.start()
    assert redis.ask("PING") == b"+PONG\r\n"


def test_the_relay_stands_between_a_client_and_redis(redis: Redis) -> None:
    with Relay(redis.address) as relay, dial(relay.address, 5) as stream:
        stream.sendall(b"PING\r\n")
        assert stream.recv(16) == b"+PONG\r\n"
        redis.kill()
        assert stream.recv(1) == b""
        stream.close()
        relay.wait_ended()


async def test_a_private_mosquitto_carries_a_message() -> None:
    with Mosquitto() as broker:
        async with aiomqtt.Client(broker.host, broker.port) as client, asyncio.timeout(10):
            await client.subscribe("rooms/+")
            await client.publish("rooms/1", b"21.5")
            message = await anext(aiter(client.messages))
            assert (str(message.topic), message.payload) == ("rooms/1", b"21.5")


class Listener(PrivateServer):
    """Ready when its port accepts: no line says so."""

    program = "python3"

    def __init__(self, body: str) -> None:
        super().__init__()
        self.body = body

    def command(self) -> Sequence[str | Path]:
        return ["python3", "-c", self.body, str(self.port)]


def test_a_server_without_a_ready_line_is_ready_when_its_port_accepts() -> None:
    body = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1])))\nwhile s.accept(): pass"
    with Listener(body) as server:
        dial(server.address, 5).close()


def test_a_server_that_ends_before_it_is_ready_says_what_it_wrote() -> None:
    server = Listener("import sys; print('no luck'); sys.exit(3)")
    with pytest.raises(AssertionError, match=r"ended with 3(.|\n)*no luck"), server:
        pass


def test_a_program_is_waited_for_by_its_lines() -> None:
    with Program.python("import sys\nprint('ready 42')\nfor line in sys.stdin: print('heard', line)") as program:
        assert program.wait_line(r"ready (\d+)").group(1) == "42"
        program.say("hello")
        program.wait_line("heard hello")
        program.kill()
        assert program.returncode == -signal.SIGKILL


def test_a_line_that_never_comes_tells_what_was_written() -> None:
    with (
        Program.python("import sys; print('one'); print('two', file=sys.stderr)") as program,
        pytest.raises(AssertionError, match="one\nstderr: two"),
    ):
        program.wait_line("three")


def test_an_ended_program_has_all_its_lines() -> None:
    with Program.python("for n in range(1000): print(n)") as program:
        assert program.wait_exit() == 0
        assert program.stdout == [str(n) for n in range(1000)]


def test_leaving_the_block_kills_the_grandchildren_too() -> None:
    source = "import subprocess as s; c = s.Popen(['/usr/bin/cat'], stdin=s.PIPE); print('child', c.pid); c.wait()"
    with Program.python(source) as program:
        pid = int(program.wait_line(r"child (\d+)").group(1))
        assert Path(f"/proc/{pid}").exists()

    def gone() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except FileNotFoundError:
            return True

    wait_until(gone)


def test_an_interrupted_program_ends_as_on_ctrl_c() -> None:
    source = "import signal\ntry: print('up'); signal.pause()\nexcept KeyboardInterrupt: print('interrupted')"
    with Program.python(source) as program:
        program.wait_line("up")
        program.interrupt()
        assert program.wait_exit() == 0
        assert program.stdout[-1] == "interrupted"


def test_a_wait_without_success_names_what_it_waited_for() -> None:
    with pytest.raises(TimeoutError, match="rain"):
        wait_until(lambda: False, 0.05, "rain")
