"""Ctrl+C ends every wait of the main thread within 100 ms, and the program can go on calling."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bridge.faulty import Daemon, program
from harness import Program, lenient, wait_until

SOON = 0.1
"""Seconds within which a wait must end, on a quiet machine."""

FRAME = """
    client = meta.connect(NAME)
    client.echo("warm")
    {before}
    print("begins", flush=True)
    try:
        {wait}
    except KeyboardInterrupt:
        print("interrupted", time.monotonic(), flush=True)
    sys.stdin.readline()
    print(client.with_options(timeout=5).echo("after"), flush=True)
    """


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with Daemon() as running:
        yield running


def _asleep(running: Program) -> bool:
    return Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def _interrupted(running: Program) -> None:
    """Sends Ctrl+C into a wait, and checks that it ends in time."""
    wait_until(lambda: _asleep(running))
    sent = time.monotonic()
    running.interrupt()
    ended = float(running.wait_line(r"interrupted ([\d.]+)").group(1))
    assert ended - sent < lenient(SOON), running.output


@pytest.mark.parametrize(
    "wait",
    [
        "client.hold('it')",
        "client.hold_async('it')",
        "client.call('hold', 'it')",
        "meta.connect(NAME, 'slow', building=60.0).whoami()",
    ],
)
def test_a_call(daemon: Daemon, wait: str) -> None:
    with program(FRAME.format(before="", wait=wait), daemon) as running, daemon.connect() as watcher:
        running.wait_line("begins")
        wait_until(lambda: watcher.stats()["in_flight"] or watcher.stats()["cache"]["building"])
        _interrupted(running)
        running.say("go on")
        running.wait_line("^after$")


def test_a_batch(daemon: Daemon) -> None:
    wait = """
        with client.batch() as batch:
            batch.echo(1), batch.hold('it')
        """.strip()
    with program(FRAME.format(before="", wait=wait), daemon) as running, daemon.connect() as watcher:
        running.wait_line("begins")
        wait_until(lambda: watcher.state("it") == "held")
        _interrupted(running)
        running.say("go on")
        running.wait_line("^after$")


def test_a_call_while_other_threads_call_on(daemon: Daemon) -> None:
    before = """
    stop = False

    def work():
        while not stop:
            client.echo(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    """.strip()
    text = FRAME.format(before=before, wait="client.hold('it')").rstrip() + "\n    stop = True\n"
    with program(text, daemon) as running, daemon.connect() as watcher:
        running.wait_line("begins")
        wait_until(lambda: watcher.state("it") == "held")
        _interrupted(running)
        running.say("go on")
        running.wait_line("^after$")
        assert running.wait_exit() == 0


@pytest.mark.parametrize("interval", ["0.002", "30.0"])
def test_connecting_to_a_service_that_is_not_there(daemon: Daemon, interval: str) -> None:
    wait = f"meta.connect('nobody', timeout=60, poll_interval={interval})"
    with program(FRAME.format(before="", wait=wait), daemon) as running:
        running.wait_line("begins")
        _interrupted(running)
        running.say("go on")
        running.wait_line("^after$")


@pytest.mark.parametrize(
    "wait",
    [
        "client.echo(1)",
        "meta.connect(NAME, 'another', timeout=60)",
        "client.echo(b'x' * (60 << 20))",
        "client.nap(0.0)",
        "client.stats()",
    ],
)
def test_a_daemon_that_is_stopped(daemon: Daemon, wait: str) -> None:
    before = "print('warm', flush=True); sys.stdin.readline()"
    with program(FRAME.format(before=before, wait=wait), daemon) as running:
        running.wait_line("warm")
        daemon.freeze()
        running.say("begin")
        running.wait_line("begins")
        _interrupted(running)
        daemon.thaw()
        running.say("go on")
        running.wait_line("^after$")


def test_starting_a_service_whose_daemon_is_stopped(daemon: Daemon) -> None:
    text = """
        meta.create(NAME).register(print)
        sys.stdin.readline()
        print("begins", flush=True)
        try:
            meta.run(startup_timeout=60)
        except KeyboardInterrupt:
            print("interrupted", time.monotonic(), flush=True)
        """
    with program(text, daemon) as running:
        daemon.freeze()
        running.say("begin")
        running.wait_line("begins")
        _interrupted(running)
        daemon.thaw()
        assert running.wait_exit() == 0


def test_starting_a_service_whose_name_others_keep_locked(tmp_path: Path) -> None:
    text = """
        import fcntl, struct
        meta.create("locked").register(print)
        path = os.path.join(os.environ["IRONBRIDGE_RUNTIME_DIR"], "locked.lock")
        held = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.fcntl(held, 37, struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_SETLK
        print("begins", flush=True)
        try:
            meta.run(startup_timeout=60)
        except KeyboardInterrupt:
            print("interrupted", time.monotonic(), flush=True)
        """
    tmp_path.chmod(0o700)
    head = "import os, sys, threading, time\nimport ironbridge.bridge as meta\n"
    environment = {"IRONBRIDGE_RUNTIME_DIR": str(tmp_path)}
    with Program.python(head + textwrap.dedent(text), env=environment) as running:
        running.wait_line("begins")
        _interrupted(running)
        assert running.wait_exit() == 0


def test_an_asyncio_program(daemon: Daemon) -> None:
    text = """
        import asyncio

        async def main():
            async with meta.connect_async(NAME) as client:
                print("begins", flush=True)
                await client.hold("it")

        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted", time.monotonic(), flush=True)
        """
    with program(text, daemon) as running, daemon.connect() as watcher:
        running.wait_line("begins")
        wait_until(lambda: watcher.state("it") == "held")
        _interrupted(running)
        assert running.wait_exit() == 0


def test_an_asyncio_program_that_waits_for_a_service(daemon: Daemon) -> None:
    text = """
        import asyncio

        async def main():
            print("begins", flush=True)
            async with meta.connect_async("nobody", timeout=60):
                pass

        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted", time.monotonic(), flush=True)
        """
    with program(text, daemon) as running:
        running.wait_line("begins")
        _interrupted(running)
        assert running.wait_exit() == 0


def test_a_handler_that_returns_lets_the_call_go_on(daemon: Daemon) -> None:
    text = """
        import signal
        signal.signal(signal.SIGINT, lambda number, frame: print("handled", flush=True))
        client = meta.connect(NAME)
        print(client.hold("it"), flush=True)
        """
    with program(text, daemon) as running, daemon.connect() as watcher:
        wait_until(lambda: watcher.state("it") == "held")
        running.interrupt()
        running.wait_line("^handled$")
        watcher.release("it")
        running.wait_line("^it$")
        assert running.wait_exit() == 0
