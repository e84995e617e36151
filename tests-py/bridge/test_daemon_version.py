"""A class that was edited while its daemon of before lives: told, never served by the old code."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from harness import Program

Start = Callable[..., Program]

SERVICE = """
    import functools, os, sys, time
    import ironbridge.bridge as meta

    def traced(function):
        def call(self, *args):
            return function(self, *args)
        return call

    class Base:
        def answer(self):
            return 42

    @meta.create("service").daemon()
    class Service(Base):
        known = {"a", "b", "c", "d"}
        started = time.time()

        def __init__(self, factor=2, marker=object(), names=frozenset("abcd")):
            self.factor = factor

        @property
        def half(self):
            return self.factor / 2

        @meta.function
        @traced
        def times(self, x):
            return x * self.factor if x in {"a", "b", "c", 1, 2, 3} else 0

        @meta.function
        @functools.lru_cache
        def slow(self, x):
            return (lambda y: y + 1)(x)

        @meta.function
        @staticmethod
        async def later(x):
            return x
"""

RUN = """
    if __name__ == "__main__":
        try:
            handle = meta.run(detach=True)
        except meta.ServiceAlreadyExists as error:
            print("refused", error.service, error.pid, error, flush=True)
        else:
            print("daemon", handle.pid, handle.attached, flush=True)
            sys.stdin.readline()
            handle.stop()
"""


@pytest.fixture(autouse=True)
def runtime_directory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of services here are nobody else's."""
    monkeypatch.setenv("IRONBRIDGE_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))


def running(start: Start, text: str = SERVICE) -> tuple[Program, int]:
    """A program that has started the detached daemon, and ends it when it is told to."""
    program = start(text + RUN)
    return program, int(program.wait_line(r"daemon (\d+) False")[1])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x * self.factor", "x * self.factor + 1"),
        ("def times(self, x)", "def times(self, x, y=1)"),
        ("factor=2", "factor=3"),
        ("self.factor / 2", "self.factor // 2"),
        ("return 42", "return 43"),
        ("y + 1", "y + 2"),
        ("async def later", "def later"),
        ("function(self, *args)", "function(self, *args) or None"),
        ("class Service(Base):", "class Service(Base):\n        def added(self): ...\n"),
    ],
)
def test_an_edited_class_is_told_that_another_version_runs_and_how_to_stop_it(
    start: Start, before: str, after: str
) -> None:
    first, pid = running(start)
    assert before in SERVICE
    edited = start(SERVICE.replace(before, after) + RUN)
    assert edited.wait_exit() == 0, edited.output
    assert edited.stdout[0].startswith(f"refused service {pid} service 'service' runs another version of ")
    assert f"ironbridge stop service`, or SIGTERM to {pid}" in edited.stdout[0]
    first.say("")
    assert first.wait_exit() == 0, first.output
    # Once it has ended, the name is the new version's.
    again, other = running(start, SERVICE.replace(before, after))
    assert other != pid
    again.say("")
    assert again.wait_exit() == 0, again.output


@pytest.mark.parametrize(
    "text",
    [
        SERVICE,
        "\n\n\n    # Only lines and comments.\n" + SERVICE,
        SERVICE.replace("async def later", "# about it\n        async def later"),
        SERVICE + "\n    def another(): ...\n",
    ],
)
def test_the_same_class_attaches_in_whatever_process_it_was_compiled(start: Start, text: str) -> None:
    first, pid = running(start)
    second = start(text + RUN)
    second.wait_line(f"daemon {pid} True")
    third = start("from program import Service, meta, sys\n" + RUN.replace("    if", "if", 1), name="importing.py")
    third.wait_line(f"daemon {pid} True")
    first.say("")
    assert first.wait_exit() == 0, first.output


def test_a_class_that_travels_by_value_too(start: Start) -> None:
    text = """
        import sys
        import ironbridge.bridge as meta

        def make():
            @meta.create("service").daemon()
            class Local:
                @meta.function
                def b(self):
                    return 1
                @meta.function
                def a(self):
                    return self.b() * 2
            return meta.run(detach=True)

        if __name__ == "__main__":
            try:
                handle = make()
            except meta.ServiceAlreadyExists as error:
                print("refused", error, flush=True)
            else:
                print("daemon", handle.pid, handle.attached, flush=True)
                sys.stdin.readline()
                handle.stop()
    """
    first = start(text)
    pid = first.wait_line(r"daemon (\d+) False")[1]
    start(text).wait_line(f"daemon {pid} True")
    edited = start(text.replace("* 2", "* 3"))
    edited.wait_line(r"refused service 'service' runs another version of value:make.<locals>.Local")
    first.say("")
    assert first.wait_exit() == 0, first.output


def test_run_again_in_a_program_that_edited_its_class_is_told_too(start: Start) -> None:
    program = start(
        SERVICE
        + """
    if __name__ == "__main__":
        handle = meta.run()
        Service.times = meta.function(lambda self, x: x)
        try:
            meta.run()
        except meta.ServiceAlreadyExists as error:
            print("another version of" in str(error), error.pid == handle.pid)
    """
    )
    assert program.wait_exit() == 0, program.output
    assert program.stdout == ["True True"]
