"""Running services from files: loaded at run time, loaded again when they change, in several processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from harness import Program
from ironbridge._mesh.running.envfile import read
from ironbridge._mesh.running.hot import HotReload
from ironbridge._mesh.running.instances import count_of
from ironbridge._mesh.running.loaded import Loaded
from ironbridge.errors import ConfigurationError
from ironbridge.mesh import Broker, ServiceNotFoundError, ServiceSchemaError

from mesh.meeting import Meeting
from mesh.peers import JsNode

PATIENCE = 20.0


def written(file: Path, word: str, name: str = "greeter") -> Path:
    """A file with a service whose answer is a word; it is replaced at once, as editors do."""
    draft = file.with_name("draft")
    draft.write_text(
        f"""
import os
from ironbridge.mesh import BaseService, action

class Greeter(BaseService):
    name = {name!r}

    @action()
    async def hello(self, params):
        return {word!r}

    @action()
    async def pid(self, params):
        return os.getpid()
"""
    )
    return draft.replace(file)


@pytest.fixture
def broker(namespace: str) -> Broker:
    return Broker("one", transporter="memory", namespace=namespace)


# ---- loading -------------------------------------------------------------------------------------------------


async def test_a_file_is_loaded_at_run_time_and_once_more_as_it_is_then(broker: Broker, tmp_path: Path) -> None:
    file, loaded = written(tmp_path / "greeting.py", "one"), Loaded(broker)
    async with broker:
        [service] = await loaded.load(str(file))
        await broker.wait_for_services("greeter", 5000)
        assert await broker.call("greeter.hello") == "one"
        # Of the same second and size: compiled code of it would be taken for fresh.
        written(file, "two")
        [again] = await loaded.load(str(file))
        assert again is not service
        await broker.wait_for_services("greeter", 5000)
        assert await broker.call("greeter.hello") == "two"
        assert [one.full_name for one in broker.services] == ["$node", "greeter"]


@pytest.mark.parametrize("path", ["{module}:Greeter", "{module}", "{module}.py:Greeter", "{module}.py:SCHEMA"])
async def test_what_is_served_is_named_by_module_or_file_with_or_without_its_service(
    broker: Broker, tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # Modules of before are known in this process.
    module = f"greeting_{abs(hash(path))}"
    file = written(tmp_path / f"{module}.py", "hello")
    file.write_text(file.read_text() + "\nSCHEMA = {'name': 'greeter', 'actions': {'hello': lambda ctx: 'hello'}}\n")
    await Loaded(broker).load(path.format(module=module))
    async with broker:
        assert await broker.call("greeter.hello") == "hello"


async def test_a_folder_is_loaded_with_those_in_it_and_files_without_services_are_passed_over(
    broker: Broker, tmp_path: Path
) -> None:
    (tmp_path / "deeper").mkdir()
    written(tmp_path / "a.py", "a", "a")
    # Named as one of Python's own, and as one above.
    written(tmp_path / "deeper" / "email.py", "b", "b")
    written(tmp_path / "deeper" / "a.py", "c", "c")
    written(tmp_path / "_hidden.py", "d", "d")
    (tmp_path / "helper.py").write_text("VALUE = 1\n")
    import email

    made = await Loaded(broker).load_folder(str(tmp_path))
    assert sorted(service.name for service in made) == ["a", "b", "c"]
    assert sys.modules["email"] is email
    masked = Broker("two", transporter="memory", namespace=broker.namespace)
    assert [one.name for one in await Loaded(masked).load_folder(str(tmp_path), "deeper/e*.py")] == ["b"]


async def test_what_cannot_be_loaded_leaves_what_is_served(broker: Broker, tmp_path: Path) -> None:
    file, loaded = written(tmp_path / "greeting.py", "one"), Loaded(broker)
    async with broker:
        await loaded.load(str(file))
        file.write_text("this is (")
        with pytest.raises(SyntaxError):
            await loaded.load(str(file))
        file.write_text("VALUE = 1\n")
        with pytest.raises(ConfigurationError, match="has no service"):
            await loaded.load(str(file))
        # It is made and refused after that of before has gone.
        written(file, "three", "$node")
        with pytest.raises(ServiceSchemaError, match=r"\$node"):
            await loaded.load(str(file))
        await broker.wait_for_services("greeter", 5000)
        assert await broker.call("greeter.hello") == "one"
        with pytest.raises(ConfigurationError, match="no file"):
            await loaded.load(str(tmp_path / "nothing.py"))
        with pytest.raises(ConfigurationError, match="has no 'Nothing'"):
            await loaded.load(f"{written(file, 'four')}:Nothing")
        with pytest.raises(ConfigurationError, match="no folder"):
            await loaded.load_folder(str(tmp_path / "nothing"))


async def test_a_service_that_is_destroyed_while_it_waits_is_never_served(broker: Broker) -> None:
    started: list[str] = []
    async with broker:
        waiting = broker.create_service(
            {"name": "waits", "dependencies": ["late"], "started": lambda: started.append("waits"), "actions": {}}
        )
        await asyncio.sleep(0)
        await broker.destroy_service(waiting)
        broker.create_service({"name": "late", "actions": {"act": lambda ctx: 1}})
        broker.create_service({"name": "after", "dependencies": ["late"], "actions": {"act": lambda ctx: 1}})
        await broker.wait_for_services("after", 5000)
        assert started == [] and not broker._node.has_service("waits")


# ---- reloading -----------------------------------------------------------------------------------------------


async def test_a_service_is_loaded_again_when_its_file_changes_and_only_then(broker: Broker, tmp_path: Path) -> None:
    file, loaded = written(tmp_path / "greeting.py", "one"), Loaded(broker)
    other = written(tmp_path / "other.py", "other", "other")
    async with broker:
        await loaded.load(str(file))
        [kept] = await loaded.load(str(other))
        hot = HotReload(broker, loaded)
        await hot.look()
        assert await broker.call("greeter.hello") == "one"
        written(file, "two")
        await hot.look()
        await broker.wait_for_services("greeter", 5000)
        assert await broker.call("greeter.hello") == "two"
        assert kept in broker.services


async def test_a_file_that_is_broken_or_away_for_a_while_changes_nothing_until_it_is_whole(
    broker: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, loaded = written(tmp_path / "greeting.py", "one"), Loaded(broker)
    async with broker:
        await loaded.load(str(file))
        hot = HotReload(broker, loaded)
        file.unlink()
        await hot.look()
        file.write_text("this is (")
        await hot.look()
        await hot.look()
        assert await broker.call("greeter.hello") == "one"
        assert caplog.text.count("cannot be loaded") == 1
        written(file, "two")
        await hot.look()
        await broker.wait_for_services("greeter", 5000)
        assert await broker.call("greeter.hello") == "two"


async def test_new_files_of_a_folder_are_loaded_once(broker: Broker, tmp_path: Path) -> None:
    written(tmp_path / "a.py", "a", "a")
    (tmp_path / "helper.py").write_text("import builtins\nbuiltins.times = getattr(builtins, 'times', 0) + 1\n")
    loaded = Loaded(broker)
    async with broker:
        await loaded.load_folder(str(tmp_path))
        hot = HotReload(broker, loaded)
        written(tmp_path / "b.py", "b", "b")
        with pytest.raises(ServiceNotFoundError):
            await broker.call("b.hello")
        await hot.look()
        await broker.wait_for_services("b", 5000)
        assert await broker.call("b.hello") == "b"
    import builtins

    assert builtins.__dict__.pop("times") == 1


# ---- from the terminal -----------------------------------------------------------------------------------------


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
