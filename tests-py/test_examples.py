"""The examples beyond the document's: each runs as a user would run it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from harness import Program
from textual.pilot import Pilot
from textual.widgets import Button, Label

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(autouse=True)
def runtime_directory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of services here are nobody else's."""
    monkeypatch.setenv("IRONBRIDGE_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))


def test_the_worker_pool_counts_primes_in_two_processes() -> None:
    with Program.python(EXAMPLES / "worker_pool.py") as program:
        assert program.wait_exit(50) == 0, program.output
        assert program.stdout == ["33860 primes below 400000, counted by 2 processes"]


def test_the_first_example_of_the_readme_runs(tmp_path: Path) -> None:
    readme = (EXAMPLES.parent / "README.md").read_text()
    (tmp_path / "greeter.py").write_text(readme.partition("```python\n")[2].partition("```")[0])
    with Program.python(tmp_path / "greeter.py") as program:
        assert program.wait_exit(20) == 0, program.output
        assert program.stdout == ["Hello, world!"]


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The window's module, its service running."""
    folder = EXAMPLES / "window"
    monkeypatch.syspath_prepend(str(folder))
    spec = importlib.util.spec_from_file_location("window_app", folder / "app.py")
    assert spec is not None and spec.loader is not None
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    handle = app.service.start()
    yield app
    handle.stop()
    del sys.modules["service"]


async def until(pilot: Pilot[None], seen: Any, deadline: float = 10.0) -> None:
    """Lets the window live until `seen()`."""
    loop_time = pilot.app._loop.time if pilot.app._loop else None
    assert loop_time is not None
    end = loop_time() + deadline
    while not seen():
        assert loop_time() < end, "not seen in time"
        await pilot.pause(0.01)


def status(pilot: Pilot[None]) -> str:
    return str(pilot.app.query_one("#status", Label).render())


async def test_the_window_paints_during_a_long_call_and_its_cancel_reaches_the_service(
    window: ModuleType,
) -> None:
    app = window.Window(seconds=5.0)
    async with app.run_test() as pilot:
        await pilot.click("#start")
        await until(pilot, lambda: status(pilot) == "working…")
        painted = app.frames
        await until(pilot, lambda: app.frames >= painted + 15)
        assert status(pilot) == "working…"
        await pilot.click("#cancel")
        await until(pilot, lambda: status(pilot) == "cancelled")
        async with window.meta.connect_async("slow-work") as client:

            async def told() -> bool:
                outcomes: dict[str, int] = await client.outcomes()
                return outcomes == {"finished": 0, "cancelled": 1}

            while not await told():
                await pilot.pause(0.01)
        assert app.query_one("#cancel", Button).disabled


async def test_the_window_shows_what_the_work_returned(window: ModuleType) -> None:
    app = window.Window(seconds=0.05)
    async with app.run_test() as pilot:
        await pilot.click("#start")
        await until(pilot, lambda: status(pilot) == "worked for 0.05 s")
        assert not app.query_one("#start", Button).disabled
