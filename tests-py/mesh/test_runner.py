"""The runner from the terminal: files that are loaded and watched, several processes, environment files."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import Program
from ironbridge._mesh.running.envfile import read
from ironbridge._mesh.running.instances import count_of

from mesh.greeting import written
from mesh.meeting import Meeting
from mesh.peers import JsNode

PATIENCE = 20.0


def started(at: Meeting, folder: Path, *words: str, env: dict[str, str] | None = None) -> Program:
    place = ["--transporter", at.url, "--namespace", at.namespace]
    command = [sys.executable, "-m", "ironbridge.cli", "mesh", *place, *words]
    return Program(command, cwd=folder, env={**(env or {}), "COLUMNS": "200"})


def serves(program: Program, js: JsNode, *nodes: str) -> None:
    """Returns when they are known and can be ended in good order."""
    for node in nodes:
        program.wait_line(f"{node} serves", PATIENCE)
    js.meet(*nodes)


def test_the_prompt_loads_files_and_folders(at_redis: Meeting, tmp_path: Path) -> None:
    written(tmp_path / "greeting.py", "one")
    (tmp_path / "more").mkdir()
    written(tmp_path / "more" / "other.py", "two", "other")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    js = at_redis.js("4", "theirs", services=[])
    with started(at_redis, tmp_path, "--node-id", "terminal") as program:
        program.say("load greeting.py:Greeter")
        program.wait_line("loaded: greeter", PATIENCE)
        program.say("loadFolder more *.py")
        program.wait_line("loaded: other", PATIENCE)
        js.ask("waitForServices", services=["greeter", "other"])
        assert [js.call("greeter.hello"), js.call("other.hello")] == ["one", "two"]
        program.say("load broken.py")
        program.wait_line("cannot be loaded: ZeroDivisionError", PATIENCE)
        program.say("load")
        program.wait_line("say which file or module", PATIENCE)
        program.say("exit")
        assert program.wait_exit(PATIENCE) == 0


def test_hot_reloads_what_is_served(at_redis: Meeting, tmp_path: Path) -> None:
    file = written(tmp_path / "greeting.py", "one")
    js = at_redis.js("4", "theirs", services=[])
    with started(at_redis, tmp_path, "--run", "greeting:Greeter", "--hot") as program:
        js.ask("waitForServices", services=["greeter"])
        assert js.call("greeter.hello") == "one"
        file.write_text("this is (")
        program.wait_line("cannot be loaded", PATIENCE)
        assert js.call("greeter.hello") == "one"
        written(file, "two")
        program.wait_line("has changed: greeter loaded", PATIENCE)
        js.ask("waitForServices", services=["greeter"])
        assert js.call("greeter.hello") == "two"
        program.interrupt()
        assert program.wait_exit(PATIENCE) == 0


def test_instances_are_nodes_of_their_own_and_end_together(at_redis: Meeting, tmp_path: Path) -> None:
    written(tmp_path / "greeting.py", "one")
    js = at_redis.js("4", "theirs", services=[])
    words = ("--run", "greeting.py", "--instances", "2", "--node-id", "many")
    with started(at_redis, tmp_path, *words) as program:
        serves(program, js, "many-1", "many-2")
        pids = {js.call("greeter.pid", {}, nodeID=f"many-{number}") for number in (1, 2)}
        assert len(pids) == 2 and program.pid not in pids
        program.interrupt()
        assert program.wait_exit(PATIENCE) == 0
        js.lose("many-1", "many-2")
    with started(at_redis, tmp_path, *words) as program:
        serves(program, js, "many-1", "many-2")
        os.kill(js.call("greeter.pid", {}, nodeID="many-2"), signal.SIGKILL)
        assert program.wait_exit(PATIENCE) == 128 + signal.SIGKILL
        js.lose("many-1")


def test_instances_end_when_the_process_that_started_them_is_killed(at_redis: Meeting, tmp_path: Path) -> None:
    written(tmp_path / "greeting.py", "one")
    js = at_redis.js("4", "theirs", services=[])
    with started(at_redis, tmp_path, "--run", "greeting.py", "-i", "2", "--node-id", "many") as program:
        serves(program, js, "many-1", "many-2")
        os.kill(program.pid, signal.SIGKILL)
        js.lose("many-1", "many-2")


def test_an_environment_file_says_what_the_environment_does_not(at_redis: Meeting, tmp_path: Path) -> None:
    js = at_redis.js("4", "theirs", services=[])
    written(tmp_path / "greeting.py", "one")
    (tmp_path / ".env").write_text("NODEID=of-env  # not the file's name\nNAMESPACE=nowhere\n")
    (tmp_path / "other").write_text(f"export NODEID='of#other'\nNAMESPACE={at_redis.namespace}\n")
    command = [sys.executable, "-m", "ironbridge.cli", "mesh", "--run", "greeting.py", "--transporter", at_redis.url]
    for words, node, given in (
        (["--env"], "of-env", {"NAMESPACE": at_redis.namespace}),
        (["--envfile", "other"], "of#other", {}),
    ):
        with Program([*command, *words], cwd=tmp_path, env=given) as program:
            serves(program, js, node)
            program.interrupt()
            assert program.wait_exit(PATIENCE) == 0
    with Program([*command, "--envfile", "nothing"], cwd=tmp_path) as program:
        assert program.wait_exit(PATIENCE) == 1
        assert "nothing cannot be read" in program.output.replace("\n", " ")


@pytest.mark.parametrize("words", [("--instances", "none"), ("--instances", "0"), ("--instances", "2", "--repl")])
def test_what_cannot_be_run_is_refused(at_redis: Meeting, tmp_path: Path, words: tuple[str, ...]) -> None:
    with started(at_redis, tmp_path, *words) as program:
        assert program.wait_exit(PATIENCE) == 1
        assert "--instances" in program.output


def test_max_is_one_process_for_each_core_that_may_be_used() -> None:
    assert (count_of("max"), count_of("3")) == (len(os.sched_getaffinity(0)), 3)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=1", "1"),
        ("  export A = two words ", "two words"),
        ("A: yaml", "yaml"),
        ("A=", ""),
        ("A=''", ""),
        ("A=x#y", "x"),
        ("A='x#y' # comment", "x#y"),
        ('A="line\\nbreak"', "line\nbreak"),
        ("A='line\\nbreak'", "line\\nbreak"),
        ('A="two\nlines"', "two\nlines"),
        ("A=`'\"`", "'\""),
        ('A={"json": true}', '{"json": true}'),
        ("A=first\r\nA=second\r\n", "second"),
        ("# A=comment", None),
        ("no variable", None),
    ],
)
def test_lines_of_an_environment_file_mean_what_they_mean_to_dotenv(line: str, value: Any) -> None:
    assert read(f"B=before\n{line}\nC=after") == {
        "B": "before",
        **({"A": value} if value is not None else {}),
        "C": "after",
    }
