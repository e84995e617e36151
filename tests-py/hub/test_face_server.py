"""`Server` and the command `ironbridge hub`."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import Program, free_port
from ironbridge.hub import AuthenticationError, ConfigurationError, MicroService, Server, ServiceAlreadyExists

from hub.face import DEADLINE, Listener, place, running

COMMAND = Path(sys.executable).parent / "ironbridge"


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
async def test_a_hub_forwards_until_it_is_stopped(tmp_path: Path, transport: str) -> None:
    at = place(tmp_path, transport)
    server = Server(**at)
    ran = asyncio.create_task(server.run())
    listener, other = Listener(), MicroService(Listener(), **at, hub="never", name="Other")
    async with running(other, MicroService(listener, **at, hub="never")):
        await other.send_broadcast("heard")
        await listener.told.wait(("broadcast", "Other", "heard"))
        assert not ran.done()
        assert server.stats()
    await server.stop()
    await asyncio.wait_for(ran, DEADLINE)


async def test_a_second_hub_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    at = place(tmp_path)
    async with Server(**at):
        with pytest.raises(ServiceAlreadyExists):
            await Server(**at).run()
        async with running(MicroService(Listener(), **at, hub="never")):
            pass


async def test_a_hub_runs_once_at_a_time_and_again_after_its_end(tmp_path: Path) -> None:
    server = Server(**place(tmp_path))
    for _ in range(2):
        async with server:
            with pytest.raises(ConfigurationError, match="runs already"):
                await server.run()
    assert server.stop().wait(0)


async def test_only_services_with_the_secret_are_let_in(tmp_path: Path) -> None:
    at = place(tmp_path)
    async with Server(**at, secret="between us, and long enough"):
        async with running(MicroService(Listener(), **at, secret="between us, and long enough")):
            pass
        with pytest.raises(AuthenticationError):
            await asyncio.wait_for(MicroService(Listener(), **at, secret="something else entirely").run(), DEADLINE)
        with pytest.raises(AuthenticationError):
            await asyncio.wait_for(MicroService(Listener(), **at).run(), DEADLINE)


async def test_an_open_hub_without_a_secret_warns_once_and_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    at: dict[str, Any] = {
        "sender_endpoint": f"tcp://*:{free_port()}",
        "receiver_endpoint": f"tcp://127.0.0.1:{free_port()}",
    }
    for _ in range(2):
        async with Server(**at):
            pass
    (record,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert at["sender_endpoint"] in record.getMessage()
    assert "secret" in record.getMessage()
    caplog.clear()
    closed: dict[str, Any] = {
        "sender_endpoint": f"tcp://*:{free_port()}",
        "receiver_endpoint": f"tcp://0.0.0.0:{free_port()}",
    }
    async with Server(**closed, secret="between us, and long enough"):
        pass
    assert not [one for one in caplog.records if one.levelno == logging.WARNING]


async def test_a_service_that_is_an_open_hub_warns_too(caplog: pytest.LogCaptureFixture) -> None:
    at: dict[str, Any] = {
        "sender_endpoint": f"tcp://0.0.0.0:{free_port()}",
        "receiver_endpoint": f"tcp://0.0.0.0:{free_port()}",
    }
    async with running(MicroService(Listener(), **at), MicroService(Listener(), **at, name="Guest")):
        pass
    warned = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert [one.name for one in warned] == ["ironbridge.hub.Listener"] * 2
    assert all("secret" in one.getMessage() for one in warned)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_hub_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    program = (
        "import asyncio, sys\nfrom ironbridge.hub import Server\n"
        "asyncio.run(Server(*sys.argv[1:]).run(started=lambda: print('up', flush=True)))\n"
        "print('down')\n"
    )
    with Program.python(program, *place(tmp_path).values()) as hub:
        hub.wait_line("up")
        hub.signal(number)
        assert hub.wait_exit() == 0, hub.output
        assert hub.stdout == ["up", "down"]
    assert not (tmp_path / "s").exists()


async def test_the_command_runs_a_hub_and_tells_what_it_did(tmp_path: Path) -> None:
    at = place(tmp_path)
    (tmp_path / "secret").write_text("between us, and long enough\n")
    words = ["--sender", at["sender_endpoint"], "--receiver", at["receiver_endpoint"], "--json"]
    with Program([COMMAND, "hub", *words, "--secret-file", tmp_path / "secret"]) as hub:
        await asyncio.to_thread(hub.wait_line, "services send to .*/r and listen at .*/s; Ctrl.C ends the hub", 20)
        listener = Listener()
        other = MicroService(Listener(), **at, hub="never", name="Other", secret="between us, and long enough")
        async with running(other, MicroService(listener, **at, hub="never", secret="between us, and long enough")):
            await other.send_broadcast("heard")
            await listener.told.wait(("broadcast", "Other", "heard"))
        hub.interrupt()
        assert await asyncio.to_thread(hub.wait_exit) == 0, hub.output
        stats = json.loads("\n".join(hub.stdout))
        assert stats["messages_in"] >= 3


def test_the_command_tells_what_it_does_meanwhile(tmp_path: Path) -> None:
    at = place(tmp_path)
    words = ["--sender", at["sender_endpoint"], "--receiver", at["receiver_endpoint"], "--every", "0.1"]
    with Program([COMMAND, "hub", *words]) as hub:
        hub.wait_line(r" 0 +messages in", 20)
        hub.interrupt()
        assert hub.wait_exit() == 0, hub.output


def test_the_command_tells_failures_in_one_line(tmp_path: Path) -> None:
    for words in (["--sender", "udp://x"], ["--secret-file", str(tmp_path / "none")]):
        with Program([COMMAND, "hub", *words]) as hub:
            assert hub.wait_exit(20) == 1
            assert hub.stderr[0].startswith("ConfigurationError: ")
