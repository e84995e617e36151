"""Programs that fork: the child works with connections of its own, the parent goes on, and nobody hangs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from bridge.faulty import Daemon, program, side_by_side
from harness import wait_until


@pytest.fixture(scope="module")
def served() -> Iterator[Daemon]:
    with Daemon(daemon={"threads": 16}) as running:
        yield running


def _runs(text: str, daemon: Daemon, deadline: float = 20.0) -> list[str]:
    """What the program writes; it must end well, and complain of nothing."""
    with program(text, daemon) as running:
        assert running.wait_exit(deadline) == 0, running.output
        assert not running.stderr, running.output
        return running.stdout


def test_a_child_forked_before_the_first_use_works(served: Daemon) -> None:
    text = """
        child = os.fork()
        client = meta.connect(NAME)
        assert [client.echo(n) for n in range(100)] == list(range(100))
        if child:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            os.write(1, b"parent\\n")
        else:
            os.write(1, b"child\\n")
        """
    assert sorted(_runs(text, served)) == ["child", "parent"]


def test_a_child_forked_after_use_has_connections_of_its_own_and_the_parent_keeps_its(served: Daemon) -> None:
    text = """
        client = meta.connect(NAME)
        assert client.echo("warm") == "warm"
        child = os.fork()
        who = "parent" if child else "child"
        for n in range(300):
            assert client.echo([who, n]) == [who, n]
        with client.batch() as batch:
            echoes = [batch.echo(n) for n in range(50)]
        assert [echo.result() for echo in echoes] == list(range(50))
        assert client.nap(0.0) == 0.0
        os.write(1, who.encode() + b"\\n")
        if child:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert client.echo("after") == "after"
        """
    assert sorted(_runs(text, served)) == ["child", "parent"]


def test_calls_under_way_in_the_parent_are_not_disturbed_by_a_child_that_ends(served: Daemon) -> None:
    text = """
        client = meta.connect(NAME)
        results = []
        threads = [threading.Thread(target=lambda: results.append(client.sleep(0.5))) for _ in range(4)]
        for thread in threads:
            thread.start()
        while client.stats()["in_flight"] < 4:
            pass
        for status in (0, 7):
            child = os.fork()
            if not child:
                assert client.echo("child") == "child"
                client.close()
                sys.exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == status
        for thread in threads:
            thread.join()
        print(results == [0.5] * 4, flush=True)
        """
    assert _runs(text, served) == ["True"]


def test_children_forked_while_other_threads_call_never_hang(served: Daemon) -> None:
    text = """
        import signal
        client = meta.connect(NAME)
        stop = False
        made = [0] * 8

        def call(number):
            while not stop:
                assert client.echo(number) == number
                made[number] += 1

        threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(40):
            child = os.fork()
            if not child:
                signal.alarm(10)
                own = meta.connect(NAME)
                good = client.echo("child") == "child" and own.echo(1) == 1
                os._exit(0 if good else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        before = sum(made)
        while sum(made) < before + 100:
            pass
        stop = True
        for thread in threads:
            thread.join()
        """
    _runs(text, served, 40)


def test_a_pool_of_forked_processes_shares_a_client_of_the_parent(served: Daemon) -> None:
    text = """
        import multiprocessing
        client = meta.connect(NAME, "pool")
        client.whoami()

        def work(number):
            return client.echo(number), client.whoami()[0], os.getpid()

        with multiprocessing.get_context("fork").Pool(4) as pool:
            outcomes = pool.map(work, range(100))
        assert [outcome[:2] for outcome in outcomes] == [(n, "pool") for n in range(100)]
        assert client.echo("after") == "after"
        """
    _runs(text, served)


def test_a_child_uses_asyncio_while_the_parent_does(served: Daemon) -> None:
    text = """
        import asyncio

        async def child():
            async with meta.connect_async(NAME) as client:
                return await asyncio.gather(*[client.echo(n) for n in range(50)])

        async def main():
            async with meta.connect_async(NAME) as client:
                under_way = asyncio.ensure_future(client.nap(0.5))
                assert await client.echo("warm") == "warm"
                pid = os.fork()
                if not pid:
                    # A loop of its own: the parent's is the parent's.
                    asyncio.events._set_running_loop(None)
                    os._exit(0 if asyncio.new_event_loop().run_until_complete(child()) == list(range(50)) else 1)
                assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
                assert await asyncio.gather(*[client.echo(n) for n in range(50)]) == list(range(50))
                assert await under_way == 0.5

        asyncio.run(main())
        """
    _runs(text, served)


def test_a_child_that_lives_on_does_not_hide_its_parents_death(served: Daemon) -> None:
    text = """
        import signal
        client = meta.connect(NAME)
        threading.Thread(target=lambda: client.hold_until_cancelled("orphan"), daemon=True).start()
        while client.state("orphan") != "held":
            pass
        child = os.fork()
        if not child:
            signal.pause()
        print(child, flush=True)
        os.waitpid(child, 0)
        """
    with served.connect() as watcher, program(text, served) as parent:
        child = int(parent.wait_line(r"^\d+$").group(0))
        try:
            parent.kill()
            wait_until(lambda: watcher.state("orphan") == "cancelled")
        finally:
            os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("status", [None, 0, 7])
def test_a_child_that_comes_back_from_its_endpoint_ends_there(served: Daemon, status: int | None) -> None:
    with served.connect() as client:
        assert client.fork_and_return(status) == (status or 0)
        assert client.pid() == served.pid
        assert client.echo("after") == "after"


def test_an_endpoint_may_compute_in_forked_processes_that_call_back(served: Daemon) -> None:
    with served.connect() as client:
        patient = client.with_options(timeout=20)
        assert patient.pooled(list(range(20))) == [number * 2 for number in range(20)]
        outcomes = side_by_side([lambda: patient.pooled([1, 2, 3])] * 4)
        assert [one.result() for one in outcomes] == [[2, 4, 6]] * 4
