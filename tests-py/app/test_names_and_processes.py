"""Every public name, and the processes of an application as the command line runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from harness import Program, free_port, wait_until
from ironbridge import app as face

APP = """
from __future__ import annotations
import os
from pydantic import BaseModel
from jararaca import Microservice, Get, Post, RestController, MessageBusController, IncomingHandler, ScheduledAction
from jararaca import Message, MessageBusPublisherInterceptor, create_http_server, use_publisher
from jararaca.presentation.http_microservice import HttpMicroservice

class Note(BaseModel):
    text: str

def told(line: str) -> None:
    with open(os.environ["LOG"], "a") as log:
        log.write(line + "\\n")

@MessageBusController()
@RestController("/notes")
class Notes:
    @Post("/")
    async def add(self, note: Note) -> Note:
        await use_publisher().publish(note, topic="note")
        return note

    @IncomingHandler("note")
    async def heard(self, message: Message[Note]) -> None:
        told(f"heard {message.payload().text} in {os.getpid()}")

    @ScheduledAction("* * * * * */1")
    async def tick(self) -> None:
        told("tick")

bus = os.environ.get("BUS")
app = Microservice(controllers=[Notes], interceptors=[MessageBusPublisherInterceptor(bus)] if bus else [])
http_app = HttpMicroservice(app)
web_app = create_http_server(http_app)
""".replace("from jararaca", "from ironbridge.app")


def test_every_name_is_there_and_is_imported_only_when_it_is_used() -> None:
    for name in face.__all__:
        assert getattr(face, name) is not None
    program = "import sys, ironbridge.app; print('fastapi' in sys.modules, 'sqlalchemy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        face.Nothing  # noqa: B018


@pytest.mark.parametrize("words", [["app", "--help"], ["app", "worker", "--help"], ["app", "dlq", "list", "--help"]])
def test_help_is_there_at_once_because_nothing_is_imported_for_it(words: list[str]) -> None:
    program = (
        "import sys, contextlib; from ironbridge.cli import main\nwith contextlib.suppress(SystemExit): main()\n"
        "print(sorted({'fastapi', 'typer', 'rich', 'pydantic', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: ironbridge app") and done.stdout.endswith("[]\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "notes.py").write_text(APP)
    return tmp_path


def command(folder: Path, *words: str, bus: str | None = None) -> Program:
    environment = {**os.environ, "LOG": str(folder / "log"), **({"BUS": bus} if bus else {})}
    return Program([sys.executable, "-m", "ironbridge.cli", "app", *words], cwd=folder, env=environment)


def log_of(folder: Path) -> str:
    return (folder / "log").read_text() if (folder / "log").exists() else ""


def post(port: int, text: str) -> None:
    data = json.dumps({"text": text}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/notes/", data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.load(answer) == {"text": text}


@pytest.mark.parametrize("named", ["notes:app", "notes:http_app", "notes.py:app"])
def test_a_server_handles_messages_and_schedules_by_itself_where_its_bus_is_in_process(
    folder: Path, named: str
) -> None:
    port = free_port()
    with command(folder, "server", named, "--host", "127.0.0.1", "--port", str(port)) as server:
        server.wait_line("Uvicorn running", 20)
        post(port, "one")
        wait_until(lambda: "heard one" in log_of(folder) and "tick" in log_of(folder), 10)
        server.interrupt()
        server.wait_exit(15)


def test_a_lone_worker_of_a_bus_in_process_ends_with_an_error_that_says_why(folder: Path) -> None:
    with command(folder, "worker", "notes:app") as worker:
        assert worker.wait_exit(20) == 1
        assert "its server handles the messages" in worker.output.replace("\n", " ")


def test_server_worker_and_beat_are_processes_of_their_own_at_rabbitmq(folder: Path, vhost: str) -> None:
    bus, port = f"{vhost}?exchange=notes", free_port()
    with (
        command(folder, "worker", "notes:app", "--broker-url", bus, bus=bus) as worker,
        command(folder, "beat", "notes:app", "--broker-url", bus, bus=bus) as beat,
        command(folder, "server", "notes:app", "--host", "127.0.0.1", "--port", str(port), bus=bus) as server,
    ):
        worker.wait_line("1 handlers and 1 actions wait", 20)
        server.wait_line("Uvicorn running", 20)
        beat.wait_line("1 actions are waited for", 20)
        post(port, "two")
        wait_until(lambda: f"heard two in {worker.pid}" in log_of(folder), 10)
        wait_until(lambda: "tick" in log_of(folder), 10)
        for program in (worker, beat, server):
            program.interrupt()
        assert worker.wait_exit(20) == 0
        assert beat.wait_exit(20) == 0
        server.wait_exit(20)


@pytest.mark.parametrize("which", ["worker", "beat", "scheduler"])
def test_processes_without_a_server_of_their_own_tell_their_health(folder: Path, vhost: str, which: str) -> None:
    port, at = free_port(), ["--health-port"]
    bus = [] if which == "scheduler" else ["--broker-url", f"{vhost}?exchange=notes"]
    with command(folder, which, "notes:app", *bus, *at, str(port)) as program:
        wait_until(lambda: health(port, "ready") is not None, 20)
        wait_until(lambda: health(port, "ready") == (200, "ok"), 20)
        assert health(port, "live") == (200, "ok")
        with command(folder, which, "notes:app", *bus, *at, str(port)) as other:
            assert other.wait_exit(30) == 1
            assert f"health endpoints cannot be at 127.0.0.1:{port}" in other.output.replace("\n", " ")
        program.interrupt()
        assert program.wait_exit(20) == 0
    assert health(port, "live") is None


def health(port: int, what: str) -> tuple[int, str] | None:
    """What an endpoint says; `None` where nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/{what}", timeout=10) as answer:
            return answer.status, json.load(answer)["status"]
    except urllib.error.HTTPError as answer:
        return answer.code, json.load(answer)["status"]
    except urllib.error.URLError:
        return None


def test_scheduler_runs_actions_without_a_bus(folder: Path) -> None:
    with command(folder, "scheduler", "notes:app") as scheduler:
        wait_until(lambda: log_of(folder).count("tick") >= 2, 15)
        scheduler.interrupt()
        assert scheduler.wait_exit(15) == 0


def test_scheduler_handles_what_its_actions_publish_in_process(folder: Path) -> None:
    publishes = 'await use_publisher().publish(Note(text="ticked"), topic="note")'
    (folder / "ticking.py").write_text(APP.replace('told("tick")', publishes))
    with command(folder, "scheduler", "ticking:app"):
        wait_until(lambda: "heard ticked" in log_of(folder), 15)


def test_declare_has_queues_there_before_the_first_worker(folder: Path, vhost: str) -> None:
    with command(folder, "declare", "notes:app", "--broker-url", f"{vhost}?exchange=notes") as declare:
        assert declare.wait_exit(20) == 0
        assert declare.stdout == ["note.notes.Notes.heard", "notes.Notes.tick"]


@pytest.mark.parametrize(("named", "told"), [("nothing:app", "no module"), ("notes:nothing", "has no 'nothing'")])
def test_an_application_that_is_not_there_is_told_in_one_line(folder: Path, named: str, told: str) -> None:
    with command(folder, "gen-tsi", named, "--stdout") as program:
        assert program.wait_exit(20) == 1
        assert told in program.output.replace("\n", " ")


def test_typescript_is_written_whole_or_not_at_all(folder: Path) -> None:
    with command(folder, "gen-tsi", "notes:app", "out/app.ts", "--post-process", "grep -q Notes {file}") as program:
        assert program.wait_exit(20) == 0, program.output
    written = (folder / "out/app.ts").read_text()
    assert "export class Notes" in written
    with command(folder, "gen-tsi", "notes:app", "out/app.ts", "--post-process", "false") as program:
        assert program.wait_exit(20) == 1
    assert (folder / "out/app.ts").read_text() == written
    assert len(list((folder / "out").iterdir())) == 1


def test_a_new_project_and_an_entity_work_as_they_are_written(folder: Path) -> None:
    with command(folder, "new", "shop") as program:
        assert program.wait_exit(20) == 0, program.output
    with command(folder, "gen-entity", "order-item", "shop/src/shop/controllers/order_items.py") as program:
        assert program.wait_exit(20) == 0, program.output
    words = [sys.executable, "-W", "ignore", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(words, cwd=folder / "shop", capture_output=True, text=True, timeout=50, check=False)
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    imported = "import sys; sys.path.insert(0, 'src'); from shop.controllers.order_items import OrderItemController"
    subprocess.run([sys.executable, "-c", imported], cwd=folder / "shop", check=True, timeout=30)
    with command(folder, "new", "shop") as program:
        assert program.wait_exit(20) == 1
        assert "is there already" in program.output
