"""A daemon's life: attached to, supervised, drained, and ended with its parent however that ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import ironbridge.bridge as meta
import pytest
from harness import Program, wait_until
from ironbridge import _engine

Start = Callable[..., Program]
Hold = Callable[[int], Any]

SERVICE = """
    import os, sys, threading, time
    import ironbridge.bridge as meta

    @meta.create("service").daemon()
    class Service:
        @meta.function
        def pid(self):
            return os.getpid()

        @meta.function
        def session(self):
            return os.getsid(0), os.readlink("/proc/self/fd/1")

        @meta.function
        def linger(self, seconds):
            print("lingering", flush=True)
            threading.Event().wait(seconds)
            return "done"

        @meta.function
        def fork(self):
            # A grandchild that inherits all of it, and outlives it.
            child = os.fork()
            if child == 0:
                signal = __import__("signal")
                signal.pause()
            return child
"""

HELD = """
    handle = meta.run({run})
    print("daemon", handle.pid, handle.attached, flush=True)
    sys.stdin.readline()
    {then}
"""


@pytest.fixture(autouse=True)
def runtime_directory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of services here are nobody else's."""
    monkeypatch.setenv("IRONBRIDGE_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))


def held(run: str = "", then: str = "print('bye')") -> str:
    return SERVICE + HELD.format(run=run, then=then)


def daemon(program: Program) -> tuple[int, bool]:
    found = program.wait_line(r"daemon (\d+) (True|False)")
    return int(found[1]), found[2] == "True"


def test_it_ends_when_its_parent_exits(start: Start, hold: Hold) -> None:
    program = start(held())
    process = hold(daemon(program)[0])
    program.say("")
    assert program.wait_exit() == 0, program.output
    assert process.ends()


def test_it_ends_when_its_parent_is_killed(start: Start, hold: Hold) -> None:
    program = start(held())
    process = hold(daemon(program)[0])
    program.kill()
    assert process.ends()


def test_it_ends_when_its_parent_is_terminated(start: Start, hold: Hold) -> None:
    program = start(held())
    process = hold(daemon(program)[0])
    program.signal(signal.SIGTERM)
    assert program.wait_exit() == -signal.SIGTERM
    assert process.ends()


def test_it_lives_on_when_the_thread_that_ran_it_ends(start: Start, hold: Hold) -> None:
    program = start(
        SERVICE
        + """
    if __name__ == "__main__":
        found = []
        thread = threading.Thread(target=lambda: found.append(meta.run()))
        thread.start()
        thread.join()
        with meta.connect("service") as client:
            assert client.pid() == found[0].pid
        print("daemon", found[0].pid, False, flush=True)
        sys.stdin.readline()
        assert found[0].is_running()
        with meta.connect("service") as client:
            print("answers", client.pid())
    """
    )
    pid, _ = daemon(program)
    process = hold(pid)
    assert not process.ends(0.2)
    program.say("")
    program.wait_line(f"answers {pid}")
    assert program.wait_exit() == 0, program.output
    assert process.ends()


def test_a_second_program_of_the_same_class_attaches_and_lets_go(start: Start, hold: Hold) -> None:
    first = start(held())
    pid, attached = daemon(first)
    assert not attached
    second = start(held(then="handle.stop(); print('running', handle.is_running())"))
    assert daemon(second) == (pid, True)
    second.say("")
    second.wait_line("running True")
    assert second.wait_exit() == 0, second.output
    assert hold(pid).lives()


def test_an_attached_handle_sees_the_daemon_end(start: Start) -> None:
    first = start(held())
    daemon(first)
    second = start(held(then="print('ended', handle.join(10), handle.is_running())"))
    daemon(second)
    second.say("")
    first.say("")
    second.wait_line("ended True False")


def test_run_again_in_the_same_program_gives_the_same_handle(start: Start) -> None:
    program = start(held(then="print('same', meta.run() is handle)"))
    daemon(program)
    program.say("")
    program.wait_line("same True")


def test_another_class_under_the_name_is_refused(start: Start) -> None:
    first = start(held())
    pid, _ = daemon(first)
    second = start(
        """
        import ironbridge.bridge as meta

        @meta.create("service").daemon()
        class Other:
            @meta.function
            def other(self): ...

        try:
            meta.run()
        except meta.ServiceAlreadyExists as error:
            print(error.pid, error)
        """,
        name="other.py",
    )
    assert second.wait_exit() == 0, second.output
    assert second.stdout[0].startswith(f"{pid} service 'service' is another class's")
    assert "Other" in second.stdout[0]
    assert "program.py:Service" in second.stdout[0]


def test_two_programs_at_once_share_one_daemon(start: Start) -> None:
    programs = [start(held()) for _ in range(4)]
    found = [daemon(program) for program in programs]
    assert len({pid for pid, _ in found}) == 1
    assert sorted(attached for _, attached in found) == [False, True, True, True]


def test_a_killed_daemons_name_is_free_at_once(start: Start, hold: Hold) -> None:
    program = start(held(then="print('again', meta.run().pid)"))
    pid, _ = daemon(program)
    process = hold(pid)
    os.kill(pid, signal.SIGKILL)
    assert process.ends()
    assert _engine.leases("service") == []
    program.say("")
    assert int(program.wait_line(r"again (\d+)")[1]) != pid


def test_a_grandchild_does_not_keep_the_name(start: Start, hold: Hold) -> None:
    program = start(held(then="print('again', meta.run().pid)"))
    pid, _ = daemon(program)
    with meta.connect("service") as client:
        grandchild = hold(client.fork())
    process = hold(pid)
    os.kill(pid, signal.SIGKILL)
    assert process.ends()
    assert grandchild.lives()
    program.say("")
    assert int(program.wait_line(r"again (\d+)")[1]) != pid


def test_sigterm_lets_the_running_call_finish(start: Start, hold: Hold) -> None:
    program = start(held())
    pid, _ = daemon(program)
    process = hold(pid)
    caller = start(
        """
        import ironbridge.bridge as meta
        with meta.connect("service") as client:
            print("result", client.linger(0.5))
        """,
        name="caller.py",
    )
    program.wait_line("lingering")
    os.kill(pid, signal.SIGTERM)
    caller.wait_line("result done")
    assert process.ends()
    with pytest.raises(meta.ServiceNotFound):
        meta.connect("service", timeout=0)


def test_stop_gives_calls_its_timeout_and_then_kills(start: Start, hold: Hold) -> None:
    program = start(held(then="handle.stop(timeout=0.2); print('exit', handle.exitcode); handle.stop()"))
    process = hold(daemon(program)[0])
    caller = start(
        """
        import ironbridge.bridge as meta
        with meta.connect("service") as client:
            try:
                client.linger(60)
            except meta.ConnectionLost as error:
                print("lost", error.may_have_run)
        """,
        name="caller.py",
    )
    program.wait_line("lingering")
    program.say("")
    program.wait_line("exit -9")
    caller.wait_line("lost True")
    assert process.ends()


def test_stop_ends_it_and_says_how(start: Start) -> None:
    program = start(held(then="handle.stop(); print('exit', handle.exitcode, handle.is_running(), handle)"))
    daemon(program)
    program.say("")
    program.wait_line("exit 0 False <DaemonHandle 'service' pid=.* ended>")
    assert program.wait_exit() == 0, program.output


def test_wait_returns_when_the_daemon_has_ended(start: Start) -> None:
    program = start(
        SERVICE
        + """
    if __name__ == "__main__":
        handle = meta.run(wait=True)
        print("waited", handle.is_running())
    """
    )
    wait_until(lambda: _engine.leases("service"))
    os.kill(_engine.leases("service")[0]["pid"], signal.SIGTERM)
    program.wait_line("waited False")


def test_ctrl_c_ends_the_wait_and_not_the_daemon(start: Start, hold: Hold) -> None:
    program = start(
        SERVICE
        + """
    handle = meta.run()
    print("daemon", handle.pid, handle.attached, flush=True)
    try:
        handle.join()
    except KeyboardInterrupt:
        print("interrupted", handle.is_running(), flush=True)
        sys.stdin.readline()
    """
    )
    process = hold(daemon(program)[0])
    wait_until(program.waits, what="the program waits in join()")
    os.killpg(program.pid, signal.SIGINT)
    program.wait_line("interrupted True")
    assert process.lives()


def test_detached_it_outlives_its_parent_in_a_session_of_its_own(start: Start, hold: Hold) -> None:
    program = start(held("detach=True"))
    pid, _ = daemon(program)
    process = hold(pid)
    with meta.connect("service") as client:
        session, stdout = client.session()
        assert (session, stdout) == (pid, "/dev/null")
        worker = hold(client.pid())
    program.say("")
    assert program.wait_exit() == 0, program.output
    assert process.lives()
    with meta.connect("service") as client:
        assert client.pid() == worker.pid
    os.kill(pid, signal.SIGTERM)
    assert process.ends()
    assert worker.ends()
    assert _engine.leases("service") == []


def test_the_one_who_detached_it_can_stop_it(start: Start, hold: Hold) -> None:
    program = start(held("detach=True", "handle.stop(); print('stopped', handle.is_running())"))
    process = hold(daemon(program)[0])
    program.say("")
    program.wait_line("stopped False")
    assert process.ends()


WORKERS = SERVICE.replace(".daemon()", ".daemon(workers=2)")


def pids() -> set[int]:
    return {lease["pid"] for lease in _engine.leases("service")}


def test_workers_share_the_name_and_are_started_again(start: Start, hold: Hold) -> None:
    program = start(WORKERS + HELD.format(run="", then="handle.stop(); print('exit', handle.exitcode)"))
    supervisor, _ = daemon(program)
    workers = pids()
    assert len(workers) == 2
    assert supervisor not in workers
    assert {lease["supervisor"] for lease in _engine.leases("service")} == {supervisor}
    assert {lease["worker"] for lease in _engine.leases("service")} == {0, 1}
    victim = hold(min(workers))
    os.kill(victim.pid, signal.SIGKILL)
    assert victim.ends()
    wait_until(lambda: len(pids()) == 2, what="two workers again")
    assert victim.pid not in pids()
    with meta.connect("service") as client:
        assert client.pid() in pids()
    rest = [hold(pid) for pid in pids()]
    program.say("")
    program.wait_line("exit 0")
    assert all(worker.ends() for worker in rest)
    assert any("ended by signal 9; starting it again" in line for line in program.stderr)


def test_workers_that_do_not_end_in_time_are_killed_with_their_supervisor(start: Start, hold: Hold) -> None:
    program = start(WORKERS + HELD.format(run="", then="handle.stop(timeout=0.1); print('exit', handle.exitcode)"))
    processes = [hold(daemon(program)[0]), *(hold(pid) for pid in pids())]
    start(
        """
        import ironbridge.bridge as meta
        meta.connect("service").linger(60)
        """,
        name="caller.py",
    )
    program.wait_line("lingering")
    program.say("")
    program.wait_line("exit 0")
    assert all(process.ends() for process in processes)


def test_workers_end_with_their_supervisor_and_with_the_parent(start: Start, hold: Hold) -> None:
    program = start(WORKERS + HELD.format(run="", then="pass"))
    supervisor = hold(daemon(program)[0])
    workers = [hold(pid) for pid in pids()]
    os.kill(supervisor.pid, signal.SIGKILL)
    assert all(worker.ends() for worker in workers)
    program.close()
    program = start(WORKERS + HELD.format(run="", then="pass"))
    processes = [hold(daemon(program)[0]), *(hold(pid) for pid in pids())]
    program.kill()
    assert all(process.ends() for process in processes)


def test_one_worker_that_cannot_start_ends_them_all_with_its_error(start: Start) -> None:
    program = start(
        WORKERS
        + """
    if __name__ != "__main__":
        raise LookupError("no model")
    try:
        meta.run()
    except LookupError as error:
        print(error)
    """
    )
    assert program.wait_exit() == 0, program.output
    assert program.stdout == ["LookupError: no model"]
    assert pids() == set()


def test_a_fork_of_the_program_leaves_the_daemon_alone(start: Start, hold: Hold) -> None:
    program = start(
        held(
            then="""
    child = os.fork()
    if child == 0:
        handle.stop()
        print("child sees it", handle.is_running(), flush=True)
        sys.exit()  # with its atexit
    os.waitpid(child, 0)
    with meta.connect("service") as client:
        print("parent calls", client.pid() == handle.pid, flush=True)
    """
        )
    )
    process = hold(daemon(program)[0])
    program.say("")
    program.wait_line("child sees it True")
    program.wait_line("parent calls True")
    assert program.wait_exit() == 0, program.output
    assert process.ends()


def test_calls_are_logged_when_asked_for(start: Start) -> None:
    program = start(
        """
        import ironbridge.bridge as meta

        @meta.create("logged", logger=True).daemon()
        class Logged:
            @meta.function
            def echo(self, text, times=1):
                return text * times
            @meta.function
            async def fail(self):
                raise ValueError("on purpose")

        if __name__ == "__main__":
            with meta.run(), meta.connect("logged") as client:
                client.echo("x" * 1000, times=2)
                try:
                    client.fail()
                except ValueError:
                    pass
        else:
            meta.run()
        """
    )
    assert program.wait_exit() == 0, program.output
    program.wait_line(r"INFO ironbridge.bridge.logged: echo\('x{190,}….*times=2\) -> 'x.* in \d+\.\d+ ms")
    program.wait_line(r"ERROR ironbridge.bridge.logged: fail\(\) failed in")
    program.wait_line("ValueError: on purpose")
    assert not program.stdout


def test_the_bridges_own_lines_go_to_the_programs_logging(start: Start) -> None:
    program = start(
        """
        import logging, ironbridge.bridge as meta
        logging.basicConfig(level=logging.INFO, format="MINE %(name)s %(message)s")

        @meta.create("logged", logger=True).daemon()
        class Logged:
            @meta.function
            def echo(self, text):
                return text

        handle = meta.run()
        with handle, meta.connect("logged") as client:
            client.echo("x")
        """
    )
    assert program.wait_exit() == 0, program.output
    program.wait_line(r"MINE ironbridge.bridge.logged echo\('x'\) -> 'x'")


@pytest.mark.parametrize(("said", "threads"), [("3", 3), (None, None)])
def test_meta_workers_is_the_number_of_threads(start: Start, said: str | None, threads: int | None) -> None:
    expected = threads or min(32, max(4, 2 * len(os.sched_getaffinity(0))))
    program = start(
        f"""
        import ironbridge.bridge as meta, threading

        barrier = threading.Barrier({expected})

        @meta.create("threads").daemon()
        class Threads:
            @meta.function
            def meet(self):
                return barrier.wait(10)

        handle = meta.run()
        with meta.connect("threads") as client:
            met = []
            callers = [threading.Thread(target=lambda: met.append(client.meet())) for _ in range({expected})]
            for caller in callers: caller.start()
            for caller in callers: caller.join()
            print(len(met), client.stats().get("threads"))
        """,
        env={} if said is None else {"META_WORKERS": said},
    )
    assert program.wait_exit(20) == 0, program.output
    assert program.stdout[0].startswith(f"{expected} ")


def test_a_wrong_meta_workers_is_told(start: Start) -> None:
    program = start(held(), env={"META_WORKERS": "many"})
    assert program.wait_exit() == 1
    assert "META_WORKERS='many' is not a whole number" in program.output


def test_a_parents_death_during_a_call_is_told_once_and_the_call_finishes(start: Start, hold: Hold) -> None:
    with start(held()) as program:
        process = hold(daemon(program)[0])
        caller = start(
            """
            import ironbridge.bridge as meta
            with meta.connect("service") as client:
                print("result", client.linger(0.5))
            """,
            name="caller.py",
        )
        program.wait_line("lingering")
        program.kill()
        caller.wait_line("result done")
        assert process.ends()
        assert program.wait_exit() == -signal.SIGKILL
        assert sum("the process that started this service has ended" in line for line in program.stderr) == 1


@pytest.mark.parametrize("port", [None, "given"])
def test_workers_share_one_port(start: Start, port: str | None) -> None:
    from harness import free_port

    chosen = free_port() if port else None
    program = start(
        f"""
        import os, sys
        import ironbridge.bridge as meta

        @meta.create("open", host="127.0.0.1", port={chosen}, token="{"t" * 43}").daemon(workers=2)
        class Open:
            @meta.function
            @staticmethod
            def pid():
                return os.getpid()

        handle = meta.run()
        print("up", flush=True)
        sys.stdin.readline()
        """
    )
    program.wait_line("up")
    leases = _engine.leases("open")
    addresses = {lease["tcp"] for lease in leases}
    assert len(leases) == 2
    assert len(addresses) == 1
    address = addresses.pop()
    assert chosen is None or address == f"127.0.0.1:{chosen}"
    reached = set()
    for _ in range(200):
        with meta.connect(f"tcp://{address}/open", token="t" * 43) as client:
            reached.add(client.pid())
        if len(reached) == 2:
            break
    assert reached == {lease["pid"] for lease in leases}
