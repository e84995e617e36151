"""Programs that end with calls under way: no hang, no crash, and the exit code is theirs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bridge.faulty import Daemon, program
from harness import wait_until


@pytest.fixture(scope="module")
def served() -> Iterator[Daemon]:
    with Daemon(daemon={"threads": 16}) as running:
        yield running


def _ends(text: str, daemon: Daemon, status: int = 0, times: int = 1) -> None:
    for _ in range(times):
        with program(text, daemon) as running:
            assert running.wait_exit(10) == status, running.output
            assert not running.stderr, running.output


@pytest.mark.parametrize("status", [0, 3])
@pytest.mark.parametrize("hold", ["hold", "hold_async"])
def test_with_calls_that_wait_in_daemon_threads(served: Daemon, hold: str, status: int) -> None:
    gate = f"{hold} {status}"
    text = f"""
        client = meta.connect(NAME)
        for _ in range(8):
            threading.Thread(target=client.{hold}, args=({gate!r},), daemon=True).start()
        while client.stats()["in_flight"] < 8:
            pass
        sys.exit({status})
        """
    _ends(text, served, status)
    with served.connect() as client:
        client.release(gate)
        wait_until(lambda: client.stats()["in_flight"] == 0)


def test_with_calls_whose_answers_come_during_the_end(served: Daemon) -> None:
    text = """
        client = meta.connect(NAME)
        for index in range(40):
            argument = 0.05 + index * 0.002
            threading.Thread(target=client.later, args=(argument, 100_000), daemon=True).start()
        while client.stats()["calls"] < 5:
            pass
        """
    with Daemon(daemon={"threads": 64}) as daemon:
        _ends(text, daemon, times=5)


def test_with_threads_that_call_without_pause(served: Daemon) -> None:
    text = """
        client = meta.connect(NAME)
        made = [0] * 8

        def call(number):
            while True:
                client.echo(number)
                made[number] += 1

        for number in range(8):
            threading.Thread(target=call, args=(number,), daemon=True).start()
        while min(made) < 10:
            pass
        """
    _ends(text, served, times=10)


def test_with_threads_that_wait_for_a_service(served: Daemon) -> None:
    text = """
        for _ in range(8):
            threading.Thread(target=meta.connect, args=("nobody at all",), kwargs={"timeout": 60}, daemon=True).start()
        client = meta.connect(NAME)
        for _ in range(50):
            client.echo(1)
        """
    _ends(text, served, times=3)


def test_threads_of_an_executor_finish_their_calls(served: Daemon) -> None:
    text = """
        import os
        from concurrent.futures import ThreadPoolExecutor
        client = meta.connect(NAME)
        pool = ThreadPoolExecutor(4)
        for _ in range(4):
            # One write a line: four threads share the pipe.
            pool.submit(client.sleep, 0.2).add_done_callback(lambda done: os.write(1, b"%.1f\\n" % done.result()))
        """
    with program(text, served) as running:
        assert running.wait_exit(10) == 0, running.output
        assert running.stdout == ["0.2"] * 4 and not running.stderr, running.output


def test_an_asyncio_program_whose_calls_are_given_up(served: Daemon) -> None:
    text = """
        import asyncio

        async def main():
            client = await meta.connect_async(NAME)
            calls = [asyncio.ensure_future(client.nap(60.0)) for _ in range(8)]
            assert await client.echo(1) == 1
            assert not any(call.done() for call in calls)

        asyncio.run(main())
        """
    _ends(text, served, times=3)


def test_a_loop_that_is_left_with_calls_under_way(served: Daemon) -> None:
    text = """
        import asyncio

        async def main():
            client = await meta.connect_async(NAME)
            calls.extend(asyncio.ensure_future(client.nap(60.0)) for _ in range(8))
            assert await client.echo(1) == 1

        calls = []
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        os.write(1, b"left\\n")
        sys.stderr.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # asyncio tells of tasks that were never finished
        """
    _ends(text, served, times=3)


def test_calls_in_atexit_and_from_finalisers_work_or_fail_clearly(served: Daemon) -> None:
    text = """
        import atexit
        client = meta.connect(NAME)

        class Last:
            def __del__(self):
                try:
                    client.echo("from a finaliser")
                except BaseException:
                    pass

        last = Last()
        last.itself = last
        atexit.register(lambda: print(client.echo("at exit"), flush=True))
        """
    with program(text, served) as running:
        assert running.wait_exit(10) == 0, running.output
        assert running.stdout == ["at exit"], running.output


def test_an_unhandled_failure_of_a_call_is_the_exit_code(served: Daemon) -> None:
    text = """
        client = meta.connect(NAME)
        threading.Thread(target=client.hold, args=("unhandled",), daemon=True).start()
        client.with_options(timeout=0.2).hold("unhandled")
        """
    with program(text, served) as running:
        assert running.wait_exit(10) == 1
        assert running.stderr[-1].startswith("ironbridge.errors.DeadlineExceeded"), running.output
    with served.connect() as client:
        client.release("unhandled")
