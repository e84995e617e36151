"""The command `ironbridge`, run as a user runs it, against live services in a directory of their own."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from harness import Program, wait_until

COMMAND = Path(sys.executable).parent / "ironbridge"
SERVICE = """
import sys
import ironbridge.bridge as meta

@meta.create("greeter").daemon(workers=int(sys.argv[1]) if len(sys.argv) > 1 else 1)
class Greeter:
    def __init__(self, greeting="Hello"):
        self.greeting = greeting

    @meta.function
    def hello(self, name):
        return f"{self.greeting}, {name}!"

    @meta.function
    def types(self, *values, **named):
        return [type(value).__name__ for value in values] + sorted(named)

    @meta.function
    def everything(self):
        import datetime, decimal
        return {"when": datetime.date(2026, 1, 2), "raw": b"\\x00\\x01", "set": {1}, "exact": decimal.Decimal("1.5")}

    @meta.function
    def fail(self):
        raise ValueError("no such greeting")

    @meta.function
    async def slow(self):
        import asyncio
        await asyncio.sleep(60)

if __name__ == "__main__":
    handle = meta.run()
    print("serving", handle.pid, flush=True)
    handle.join()
"""

Ironbridge = Callable[..., "Ended"]


class Ended:
    """What a command printed, and its exit code."""

    def __init__(self, program: Program) -> None:
        self.code = program.wait_exit(30)
        self.out = "\n".join(program.stdout)
        self.err = "\n".join(program.stderr)

    @property
    def json(self) -> Any:
        assert self.code in (0, 1), self.err
        return json.loads(self.out)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A runtime directory of its own, and a terminal wide enough for tables."""
    return {"IRONBRIDGE_RUNTIME_DIR": str(tmp_path_factory.mktemp("run")), "COLUMNS": "200", "NO_COLOR": "1"}


@pytest.fixture(scope="module")
def ironbridge(environment: dict[str, str]) -> Ironbridge:
    def run(*words: str, env: dict[str, str] | None = None) -> Ended:
        with Program([COMMAND, *words], env={**environment, **(env or {})}) as program:
            return Ended(program)

    return run


Serve = Callable[..., Program]


@pytest.fixture(scope="module")
def serve(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Starts the greeter, in a program of its own."""
    source = tmp_path_factory.mktemp("service") / "greeter.py"
    source.write_text(SERVICE)
    started: list[Program] = []

    def start(*words: str) -> Program:
        program = Program.python(source, *words, env=environment)
        started.append(program)
        program.wait_line(r"serving \d+", 20)
        return program

    yield start
    for program in started:
        program.signal(signal.SIGTERM) if program.returncode is None else None
        program.close()


@pytest.fixture(scope="module")
def greeter(serve: Serve) -> Program:
    return serve()


def test_a_call_prints_what_it_returns(greeter: Program, ironbridge: Ironbridge) -> None:
    assert ironbridge("call", "greeter", "hello", "world").out == "Hello, world!"
    assert ironbridge("call", "greeter", "hello", "mundo", "--init", '["Olá"]').out == "Olá, mundo!"
    assert ironbridge("call", "greeter", "hello", "mundo", "--init", '{"greeting": "Oi"}').out == "Oi, mundo!"


def test_arguments_are_json_where_they_are_json(greeter: Program, ironbridge: Ironbridge) -> None:
    called = ironbridge(
        "call", "greeter", "types", "1", "1.5", "word", '"2"', "[1]", "null", "--kwargs", '{"k": 1}', "--json"
    )
    assert called.json == ["int", "float", "str", "str", "list", "NoneType", "k"]


def test_json_says_what_json_can_say(greeter: Program, ironbridge: Ironbridge) -> None:
    said = ironbridge("call", "greeter", "everything", "--json").json
    assert said == {"when": "2026-01-02", "raw": "AAE=", "set": [1], "exact": "1.5"}
    assert "datetime.date(2026, 1, 2)" in ironbridge("call", "greeter", "everything").out


def test_failures_are_one_line_and_exit_code_1(greeter: Program, ironbridge: Ironbridge) -> None:
    remote = ironbridge("call", "greeter", "fail")
    assert remote.code == 1 and "no such greeting" in remote.err.splitlines()[0]
    typo = ironbridge("call", "greeter", "helo")
    assert typo.code == 1 and typo.err.startswith("EndpointNotFound") and "hello" in typo.err
    missing = ironbridge("stop", "nobody")
    assert missing.code == 1 and missing.err.startswith("ServiceNotFound")
    late = ironbridge("call", "greeter", "slow", "--timeout", "0.2")
    assert late.code == 1 and late.err.startswith("DeadlineExceeded")
    usage = ironbridge("call", "greeter", "hello", "--init", "{")
    assert usage.code == 2 and "not JSON" in usage.err


def test_ps_lists_what_runs(greeter: Program, ironbridge: Ironbridge, environment: dict[str, str]) -> None:
    ironbridge("call", "greeter", "hello", "world")
    (listed,) = ironbridge("ps", "--json").json
    assert listed["name"] == "greeter"
    assert (listed["worker"], listed["workers"], listed["state"]) == (0, 1, "serving")
    assert listed["calls"] >= 1 and listed["connections"] >= 0 and 0 < listed["uptime"] < 600
    assert os.path.exists(f"/proc/{listed['pid']}")
    shown = ironbridge("ps").out
    assert "NAME" in shown and "greeter" in shown and str(listed["pid"]) in shown and "1 of 1" in shown
    assert ironbridge("ps", "nobody", "--json").json == []
    assert "nobody" in ironbridge("ps", "nobody").err


def test_bench_measures_a_service_and_a_built_in_echo(greeter: Program, ironbridge: Ironbridge) -> None:
    rows = ironbridge("bench", "greeter", "hello", "world", "--seconds", "0.1", "--threads", "1", "--json").json["rows"]
    assert [row["threads"] for row in rows] == [1]
    assert 0 < rows[0]["p50"] <= rows[0]["p99"] <= rows[0]["max"]
    shown = ironbridge("bench", "--seconds", "0.1").out
    assert "CALLS/S" in shown and "µs" in shown
    assert all(daemon["name"] == "greeter" for daemon in ironbridge("ps", "--json").json)


def test_doctor_finds_a_healthy_machine_healthy(greeter: Program, ironbridge: Ironbridge) -> None:
    done = ironbridge("doctor", "--json")
    states = {finding["check"]: finding["state"] for finding in done.json}
    assert done.code == 0, done.out
    assert states["service greeter"] == "ok"
    assert {"python", "kernel", "open files", "file locks", "runtime directory", "leases"} <= set(states)
    assert "WHAT TO DO" in ironbridge("doctor").out


def test_doctor_tells_a_frozen_daemon_and_what_to_do(greeter: Program, ironbridge: Ironbridge) -> None:
    (listed,) = ironbridge("ps", "--json").json
    os.kill(listed["pid"], signal.SIGSTOP)
    try:
        assert [daemon["state"] for daemon in ironbridge("ps", "--json").json] == ["silent"]
        done = ironbridge("doctor", "--json")
        (finding,) = (one for one in done.json if one["check"] == "service greeter")
        assert (done.code, finding["state"]) == (1, "problem")
        assert f"kill -CONT {listed['pid']}" in finding["advice"]
    finally:
        os.kill(listed["pid"], signal.SIGCONT)


def test_doctor_warns_of_few_open_files(ironbridge: Ironbridge, environment: dict[str, str]) -> None:
    with Program(["/usr/bin/bash", "-c", f"ulimit -n 256 && exec {COMMAND} doctor --json"], env=environment) as program:
        (finding,) = (one for one in Ended(program).json if one["check"] == "open files")
    assert finding["state"] == "warning" and "ulimit -n" in finding["advice"]


def test_stop_ends_every_worker_and_frees_the_name(greeter: Program, serve: Serve, ironbridge: Ironbridge) -> None:
    pids = [daemon["pid"] for daemon in ironbridge("ps", "--json").json]
    stopped = ironbridge("stop", "greeter")
    assert stopped.code == 0 and f"stopped greeter (pid {pids[0]})" in stopped.out
    assert ironbridge("ps", "--json").json == []
    assert greeter.wait_exit() == 0
    serve("2")
    listed = ironbridge("ps", "greeter", "--json").json
    assert [(daemon["worker"], daemon["workers"]) for daemon in listed] == [(0, 2), (1, 2)]
    stopped = ironbridge("stop", "greeter", "--json").json
    assert {daemon["pid"] for daemon in listed} < set(stopped["stopped"]), "their supervisor is among them"
    assert stopped["left"] == []
    assert ironbridge("ps", "--json").json == []


def test_stop_with_force_kills_what_does_not_end(serve: Serve, ironbridge: Ironbridge) -> None:
    serve()
    (listed,) = ironbridge("ps", "--json").json
    os.kill(listed["pid"], signal.SIGSTOP)
    refused = ironbridge("stop", "greeter", "--timeout", "0.2")
    assert refused.code == 1 and "--force" in refused.err
    forced = ironbridge("stop", "greeter", "--timeout", "0.2", "--force")
    assert forced.code == 0, forced.err
    wait_until(lambda: ironbridge("ps", "--json").json == [])


def test_doctor_tells_of_leases_that_killed_daemons_left(serve: Serve, ironbridge: Ironbridge) -> None:
    program = serve()
    (listed,) = ironbridge("ps", "--json").json
    os.kill(listed["pid"], signal.SIGKILL)
    program.wait_exit()
    (finding,) = (one for one in ironbridge("doctor", "--json").json if one["check"] == "leases")
    assert finding["state"] == "warning" and "greeter" in finding["detail"]
    (finding,) = (one for one in ironbridge("doctor", "--json").json if one["check"] == "leases")
    assert finding["state"] == "ok"


def test_completion_offers_the_services_that_run(serve: Serve, ironbridge: Ironbridge) -> None:
    serve()
    asked = {"_IRONBRIDGE_COMPLETE": "complete_bash", "COMP_WORDS": "ironbridge ps ", "COMP_CWORD": "2"}
    assert "greeter" in ironbridge(env=asked).out


@pytest.mark.parametrize(
    "words",
    [["--help"], ["ps", "--help"], ["call", "-h"], ["stop", "-h"], ["bench", "-h"], ["doctor", "-h"], ["logs", "-h"]],
)
def test_every_command_explains_itself(ironbridge: Ironbridge, words: Sequence[str]) -> None:
    shown = ironbridge(*words)
    assert shown.code == 0
    assert "Usage: ironbridge" in shown.out
    assert "--json" in shown.out or words == ["--help"]


def test_without_its_libraries_the_command_says_what_to_install() -> None:
    source = "import sys; sys.modules['rich'] = None; from ironbridge.cli import main; main()"
    with Program.python(source) as program:
        assert program.wait_exit() == 2
        assert program.stderr == ["ironbridge: the command needs rich: pip install 'ironbridge[cli]'"]
