"""The tasks application as a person sees it: in a browser, in one process, and at RabbitMQ, Redis and PostgreSQL."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from harness import Postgres, Program, RabbitMQ, Redis, free_port, wait_until
from harness.browser import Browser, Page

from app.typescript import compiled

TASKS = Path(__file__).parents[2] / "examples" / "tasks"
STATES = (
    "[...document.querySelectorAll('#tasks li')].map(one => [one.querySelector('span').textContent, one.dataset.state])"
)

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


def started(folder: Path, *words: str, **environment: str) -> Program:
    """The example, as its README starts it."""
    given = {**os.environ, "TASKS_SCHEDULE": "* * * * * */3", **environment}
    return Program([sys.executable, str(TASKS / "run.py"), *words], env=given, cwd=folder)


def logged_in(browser: Browser, port: int, name: str) -> Page:
    page = browser.open(f"http://127.0.0.1:{port}/page/")
    page.fill("#name", name)
    page.fill("#password", "tasks")
    page.click("#login button")
    page.wait("!document.getElementById('board').hidden && document.getElementById('said').textContent")
    return page


def is_there(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def seen(page: Page, name: str, state: str) -> None:
    page.wait(f"{STATES}.some(([name, state]) => name === {name!r} && state === {state!r})")


def used(browser: Browser, port: int, program: Program) -> None:
    """What two people do and see."""
    try:
        _used(browser, port)
    except AssertionError as error:
        error.add_note(program.output)
        raise


def _used(browser: Browser, port: int) -> None:
    ann, bob = logged_in(browser, port, "ann"), logged_in(browser, port, "bob")
    ann.fill("#task", "Mend the gate")
    ann.click("#add button")
    for page in (ann, bob):
        seen(page, "Mend the gate", "done")
    # One appears by itself, and is done, too.
    bob.wait(f"{STATES}.filter(([name, state]) => name !== 'Mend the gate' && state === 'done').length > 0")
    bob.run(
        "[...document.querySelectorAll('#tasks li')].find(one => one.textContent.includes('Mend the gate'))"
        ".querySelector('button').click()"
    )
    ann.wait(f"!{STATES}.some(([name]) => name === 'Mend the gate')")
    ann.wait("document.getElementById('said').textContent.includes('deleted')")
    ann.click("#logout")
    ann.wait("document.getElementById('board').hidden && document.getElementById('login')")


def test_one_process_does_all_in_memory_and_a_file(browser: Browser, tmp_path: Path) -> None:
    port = free_port()
    database = f"sqlite+aiosqlite:///{tmp_path / 'db.sqlite3'}"
    with started(tmp_path, "--port", str(port), DATABASE_URL=database) as program:
        wait_until(lambda: is_there(port), 30, "the server")
        used(browser, port, program)
        wrong = browser.open(f"http://127.0.0.1:{port}/page/")
        wrong.fill("#name", "eve")
        wrong.fill("#password", "guessed")
        wrong.click("#login button")
        assert wrong.wait("document.getElementById('wrong').textContent") == "wrong name or password"
        program.interrupt()
        program.wait_exit(20)


def test_its_processes_meet_at_rabbitmq_redis_and_postgresql(
    browser: Browser, rabbitmq: RabbitMQ, redis: Redis, vhost: str, tmp_path: Path
) -> None:
    port = free_port()
    with Postgres() as postgres:
        places = {
            "BUS_URL": f"{vhost}?exchange=tasks",
            "REDIS_URL": f"redis://{redis.host}:{redis.port}/14",
            "DATABASE_URL": postgres.url(),
        }
        with started(tmp_path, "--full", "--port", str(port), **places) as program:
            wait_until(lambda: is_there(port), 30, "the server")
            program.wait_line("1 actions are waited for", 30)
            program.wait_line("1 handlers and 1 actions wait", 30)
            used(browser, port, program)
            program.interrupt()
            program.wait_exit(30)


def test_its_controller_is_tested_with_nothing_but_itself() -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(words, cwd=TASKS, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_s_client_is_that_of_the_application(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "ironbridge.cli", "app", "gen-tsi", "app:http_app", str(tmp_path / "client.ts")]
    subprocess.run(words, cwd=TASKS, check=True, timeout=60, capture_output=True)
    shutil.copy(TASKS / "web" / "page.ts", tmp_path)
    compiled(tmp_path, "client.ts", "page.ts", emit=True)
    names = ["client.ts", "client.js", "page.js"]
    same, different, missing = filecmp.cmpfiles(TASKS / "web", tmp_path, names, shallow=False)
    assert same == names, f"run examples/tasks/web/build.sh: {different or missing} changed"
