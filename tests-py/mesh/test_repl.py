"""`ironbridge mesh`: a node from the terminal, beside one in JavaScript."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import Program, wait_until
from hypothesis import given
from hypothesis import strategies as st
from ironbridge._mesh.repl.words import WrongLine, read

from mesh.meeting import Meeting

PATIENCE = 20.0

SERVICE = """
from ironbridge.mesh import BaseService, action

class Greeter(BaseService):
    name = "terminal-greeter"

    @action()
    async def hello(self, params):
        return f"Hello, {params['name']}!"
"""


def started(meeting: Meeting, folder: Path, *words: str) -> Program:
    place = ("--transporter", meeting.url, "--namespace", meeting.namespace, "--node-id", "terminal")
    environment = {**os.environ, "COLUMNS": "200"}
    return Program([sys.executable, "-m", "ironbridge.cli", "mesh", *place, *words], cwd=folder, env=environment)


def shows(program: Program, text: str) -> None:
    wait_until(lambda: text in program.output or program.returncode is not None, PATIENCE, text)
    assert text in program.output, program.output


def test_a_prompt_calls_tells_and_looks_around(at_redis: Meeting, tmp_path: Path) -> None:
    js = at_redis.js("4", "theirs", services=["math", "errors"])
    with started(at_redis, tmp_path) as program:
        js.meet("terminal")
        program.say("listener add told.**")
        program.say("call math.add --a 5 --b 3")
        shows(program, "8\n(")
        program.say('dcall theirs math.add {"a": 1, "b": 2} #user bob')
        shows(program, "3\n(")
        program.say("nodes")
        shows(program, "theirs")
        shows(program, "terminal (this)")
        program.say("actions")
        shows(program, "math.div")
        program.say("call errors.raise --kind MoleculerClientError")
        shows(program, "MoleculerClientError: Bad thing")
        program.say("call math.add {broken}")
        shows(program, "is no JSON")
        program.say("nonsense")
        shows(program, "there is no command 'nonsense'")
        program.say("ping theirs")
        shows(program, '"elapsedTime"')
        program.say("bench math.add --num 20")
        shows(program, "20 calls")
        js.broadcast("told.something", {"n": 1})
        shows(program, 'told.something from theirs: {"n": 1}')
        program.say("exit")
        assert program.wait_exit(PATIENCE) == 0


def test_it_serves_what_it_is_told_to_until_it_is_interrupted(at_redis: Meeting, tmp_path: Path) -> None:
    (tmp_path / "greeting.py").write_text(SERVICE)
    js = at_redis.js("4", "theirs", services=[])
    with started(at_redis, tmp_path, "--run", "greeting:Greeter") as program:
        js.ask("waitForServices", services=["terminal-greeter"])
        assert js.call("terminal-greeter.hello", {"name": "Ann"}) == "Hello, Ann!"
        program.wait_line("terminal serves", PATIENCE)
        program.interrupt()
        assert program.wait_exit(PATIENCE) == 0
    with started(at_redis, tmp_path, "--run", "nothing:Greeter") as program:
        assert program.wait_exit(PATIENCE) == 1
        assert "no module 'nothing'" in program.output


def test_a_transporter_that_is_not_there_is_told(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "ironbridge.cli", "mesh", "--transporter", "redis://127.0.0.1:1", "--wait", "0.5"]
    with Program(words, cwd=tmp_path) as program:
        assert program.wait_exit(PATIENCE) == 1
        assert "could not be reached" in program.output.replace("\n", " ")


def test_ctrl_c_ends_a_call_and_not_the_program(at_redis: Meeting, tmp_path: Path) -> None:
    js = at_redis.js("4", "theirs", services=["slow"])
    words = [sys.executable, "-m", "ironbridge.cli", "mesh", "--transporter", at_redis.url]
    words += ["--namespace", at_redis.namespace, "--node-id", "terminal"]
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "COLUMNS": "120", "TERM": "dumb"}
    process, terminal = pty.fork()
    if process == 0:
        os.execve(sys.executable, words, environment)
    seen = b""

    def read_until(text: bytes) -> None:
        nonlocal seen
        while text not in seen:
            seen += os.read(terminal, 4096)
        seen = seen.partition(text)[2]

    try:
        read_until(b"mesh> ")
        js.meet("terminal")
        os.write(terminal, b"call slow.hang\n")
        js.wait("began")
        os.write(terminal, b"\x03")
        read_until(b"interrupted")
        read_until(b"mesh> ")
        os.write(terminal, b"info\n")
        read_until(b'"nodeID": "terminal"')
        os.write(terminal, b"exit\n")
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    finally:
        os.close(terminal)
    history = tmp_path / "ironbridge" / "mesh_history"
    assert "call slow.hang" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("text", "params", "meta"),
    [
        ("call a.b", {}, {}),
        ('call a.b {"x": [1, "two words"]}', {"x": [1, "two words"]}, {}),
        ("call a.b --n 5 --name 'two words' --flag", {"n": 5, "name": "two words", "flag": True}, {}),
        ("call a.b --user.name ann --user.age 7 #tenant x", {"user": {"name": "ann", "age": 7}}, {"tenant": "x"}),
        ("call a.b --n=-3 --list [1,2]", {"n": -3, "list": [1, 2]}, {}),
    ],
)
def test_lines_mean_what_they_say(text: str, params: Any, meta: Any) -> None:
    line = read(text)
    assert (line.command, line.words[0], line.params(1), line.meta) == ("call", "a.b", params, meta)


@given(st.text())
def test_no_line_breaks_it(text: str) -> None:
    try:
        read(text).params(1)
    except WrongLine:
        pass


async def test_what_can_be_completed_is_what_is_known(namespace: str) -> None:
    from ironbridge._mesh.repl.commands import Commands
    from ironbridge.mesh import Broker

    broker = Broker("one", transporter="memory", namespace=namespace)
    broker.create_service({"name": "it", "actions": {"act": lambda ctx: 1}, "events": {"told": lambda ctx: None}})
    async with broker:
        await asyncio.sleep(0)
        names = Commands(broker, print, lambda *_: None).names()
    assert {"call", "it.act", "told", "one"} <= set(names)
