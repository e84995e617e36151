"""Whole programs: the document's, the examples, and one written for the original."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest
from harness import Program
from ironbridge.hub import MicroService

from hub.face import Listener, place, running, until

EXAMPLES = Path(__file__).parents[2] / "examples" / "hub"

ORIGINAL = """
import asyncio, sys
from aiofase import MicroService
from aiofase.server import Server
import aiofase.microservice
assert aiofase.microservice.MicroService is MicroService
AT = dict(sender_endpoint=sys.argv[1], receiver_endpoint=sys.argv[2])

class Adder(MicroService):
    def __init__(self):
        super().__init__(self, **AT, heartbeat_interval=1)

    @MicroService.action
    async def add(self, service, data):
        return sum(data)

    @MicroService.action
    async def fail(self, service, data):
        raise KeyError(data)

class Asker:
    async def on_new_service(self, service, actions):
        self.seen.set()

    async def on_service_disconnect(self, service):
        print("lost", service, flush=True)
        self.lost.set()

async def main():
    server = Server(**AT)
    hub = asyncio.create_task(server.run())
    asker = Asker()
    asker.seen, asker.lost = asyncio.Event(), asyncio.Event()
    asking = MicroService(service=asker, **AT)
    adder = Adder()
    tasks = [asyncio.create_task(asking.run()), asyncio.create_task(adder.run())]
    await asker.seen.wait()
    print(await asking.request_action("add", [1, 2]), await asking.request_action("add", [3], timeout=5))
    try:
        await asking.request_action("fail", "x", timeout=5)
    except KeyError as error:
        print("KeyError", error.args)
    asking.request_action("add", ["never awaited"])
    adder.close()
    await tasks[1]
    await asker.lost.wait()
    asking.close()
    await tasks[0]
    server.close()
    await hub
    print(MicroService.__module__)

asyncio.run(main())
"""


def written(tmp_path: Path, name: str) -> Path:
    """The document's program, at endpoints of the test's own."""
    source = (EXAMPLES / "document.py").read_text()
    for end, short in (("sender", "s"), ("receiver", "r")):
        assert f"'ipc:///tmp/{end}'" in source
        source = source.replace(f"'ipc:///tmp/{end}'", f"'ipc://{tmp_path}/{short}'")
    (tmp_path / name).write_text(source)
    return tmp_path / name


async def test_the_documents_program_runs_with_nothing_else_started(tmp_path: Path) -> None:
    with Program.python(written(tmp_path, "document.py")) as document:
        await until((tmp_path / "s").exists)
        caller = MicroService(Listener(), **place(tmp_path))
        async with running(caller):
            await until(lambda: any("hello" in one["actions"] for one in caller.services()))
            await caller.request_action("hello", "olá")
            await asyncio.to_thread(document.wait_line, "Recebido de Listener: olá")
            await asyncio.to_thread(document.wait_line, "Estou vivo")
        document.interrupt()
        assert await asyncio.to_thread(document.wait_exit) == 0, document.output
        assert document.stderr == []


FORKED = """
import asyncio, os, sys
from ironbridge.hub import MicroService

class Child:
    @MicroService.action
    async def pid(self, service, data):
        return os.getpid()

class Parent:
    pass

made = [MicroService(one(), sender_endpoint=sys.argv[1], receiver_endpoint=sys.argv[2]) for one in (Child, Parent)]
child = os.fork()
if not child:
    asyncio.run(made[0].run())
    os._exit(0)

async def main():
    async with made[1] as parent:
        while not parent.services():
            await asyncio.sleep(0.005)
        print(await parent.call("pid") == child)
    os.kill(child, 15)
    print(os.waitpid(child, 0)[1])

asyncio.run(main())
"""


def test_services_made_before_a_fork_run_on_either_side_of_it(tmp_path: Path) -> None:
    with Program.python(FORKED, *place(tmp_path).values()) as program:
        assert program.wait_exit(20) == 0, program.output
        assert program.stdout == ["True", "0"]


async def test_the_hubs_example_in_the_readme_runs(tmp_path: Path) -> None:
    blocks = (EXAMPLES.parents[1] / "README.md").read_text().split("```python\n")
    (source,) = [block.partition("```")[0] for block in blocks if "ironbridge.hub import" in block]
    for end, short in (("sender", "s"), ("receiver", "r")):
        source = source.replace(f'"ipc:///tmp/{end}"', f'"ipc://{tmp_path}/{short}"')
    (tmp_path / "readme.py").write_text(source)
    with Program.python(tmp_path / "readme.py") as program:
        listener = Listener()
        caller = MicroService(listener, **place(tmp_path))
        async with running(caller):
            await until(lambda: any("hello" in one["actions"] for one in caller.services()))
            assert await caller.call("hello", "hi") == "Hello, Listener!"
            await asyncio.to_thread(program.wait_line, "Listener says hi")
            await listener.told.wait(("broadcast", "MyService", "alive"))


def test_the_sensor_finds_the_database_and_loses_it(tmp_path: Path) -> None:
    at = list(place(tmp_path).values())
    with Program.python(EXAMPLES / "sensor.py", *at) as sensor:
        sensor.wait_line("nobody keeps the readings yet")
        with Program.python(EXAMPLES / "database.py", *at) as database:
            database.wait_line("Thermometer is here")
            sensor.wait_line(r"[1-9]\d* readings, \d\d\.\d\d °C in the mean")
            sensor.interrupt()
            assert sensor.wait_exit() == 0, sensor.output
            database.wait_line("Thermometer has left")
            database.interrupt()
            assert database.wait_exit() == 0, database.output
            assert sensor.stderr == []


@pytest.mark.parametrize("way", [["program.py"], ["-m", "program"]], ids=["file", "module"])
def test_a_program_written_for_the_original_runs_unchanged(tmp_path: Path, way: list[str]) -> None:
    (tmp_path / "program.py").write_text(ORIGINAL)
    command = [sys.executable, "-m", "ironbridge.compat", *way, *place(tmp_path).values()]
    with Program(command, cwd=tmp_path) as program:
        assert program.wait_exit(20) == 0, program.output
        assert program.stdout == ["3 3", """KeyError ("'x'",)""", "lost Adder", "ironbridge._hub.original"]


async def test_the_originals_hub_is_started_as_a_program(tmp_path: Path) -> None:
    at = place(tmp_path)
    words = ["-sender", at["sender_endpoint"], "--receiver-endpoint", at["receiver_endpoint"], "-d"]
    with Program([sys.executable, "-m", "ironbridge.compat", "-m", "aiofase.server", *words]) as hub:
        async with running(MicroService(Listener(), **at, hub="never")):
            assert hub.returncode is None
        hub.signal(signal.SIGTERM)
        assert await asyncio.to_thread(hub.wait_exit) == 0, hub.output
