"""Where a class may stand, and how its daemon finds it again."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from harness import Program

Start = Callable[..., Program]

SERVICE = """
    import ironbridge.bridge as meta, os, sys

    @meta.create("service").daemon()
    class Service:
        @meta.function
        def about(self):
            main = sys.modules["__main__"]
            return {
                "pid": os.getpid(), "module": type(self).__module__, "main": main.__name__,
                "argv": sys.argv, "path": sys.path, "cwd": os.getcwd(), "flags": list(sys.flags),
                "environment": os.environ.get("SAID"), "warnings": sys.warnoptions, "x": sys._xoptions,
                "threads": len(__import__("threading").enumerate()),
            }
"""

CALL = """
    import json
    handle = meta.run()
    with meta.connect("service") as client:
        about = client.about()
    assert about["pid"] == handle.pid != os.getpid(), about
    print("about", json.dumps(about))
"""

GUARDED = """
    handle = meta.run()
    print("reached by", __name__)
    if __name__ == "__main__":
        import json
        with meta.connect("service") as client:
            print("about", json.dumps(client.about()))
"""


def about(program: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(program.wait_line(r"^about (.*)$")[1])
    assert program.wait_exit() == 0, program.output
    return found


def test_in_the_main_file(start: Start) -> None:
    program = start(SERVICE + CALL)
    assert about(program)["module"] == "program"  # its own name, not a second copy of `__main__`


def test_what_follows_run_is_the_parents_alone(start: Start) -> None:
    program = start(SERVICE + GUARDED)
    about(program)
    assert [line for line in program.stdout if line.startswith("reached")] == ["reached by __main__"]


def test_in_a_file_whose_name_is_no_modules(start: Start) -> None:
    assert about(start(SERVICE + CALL, name="my-program.py"))["module"] == "__mp_main__"


def test_in_a_module_of_a_package_run_with_m(start: Start) -> None:
    start("", name="package/__init__.py").wait_exit()
    program = start(SERVICE + CALL, name="package/inner.py", module="package.inner")
    assert about(program)["module"] == "package.inner"


def test_in_a_package_run_with_m(start: Start) -> None:
    start("", name="package/__init__.py").wait_exit()
    program = start(SERVICE + CALL, name="package/__main__.py", module="package")
    assert about(program)["module"] == "package.__main__"


def test_in_a_module_that_no_import_finds(start: Start) -> None:
    start(SERVICE, name="hidden/plugin.py").wait_exit()
    program = start(
        """
        import json, sys
        from importlib.util import module_from_spec, spec_from_file_location

        if __name__ == "__main__":
            spec = spec_from_file_location("plugin", "hidden/plugin.py")
            sys.modules["plugin"] = plugin = module_from_spec(spec)
            spec.loader.exec_module(plugin)
            with plugin.meta.run(), plugin.meta.connect("service") as client:
                print("about", json.dumps(client.about()))
        """
    )
    assert about(program)["module"] == "plugin"


def test_in_a_package_whose_init_runs_it(start: Start) -> None:
    start(SERVICE, name="package/core.py").wait_exit()
    start("from .core import Service, meta\nhandle = meta.run()\n", name="package/__init__.py").wait_exit()
    program = start(
        """
        import json, package, sys
        client = package.meta.connect("service")
        print("about", json.dumps(client.about()))
        """
    )
    assert about(program)["module"] == "package.core"


def test_under_the_main_guard_by_value(start: Start) -> None:
    indented = textwrap.indent(textwrap.dedent(SERVICE + CALL), "    ")
    program = start('if __name__ == "__main__":\n' + indented)
    assert about(program)["main"] == "__main__"


@pytest.mark.parametrize("namespace", ["globals()", "{}", "{'__name__': 'nowhere'}", "vars(types.ModuleType('made'))"])
def test_in_an_exec(start: Start, namespace: str) -> None:
    text = textwrap.dedent(SERVICE + CALL)
    about(start(f"import types\nif __name__ == '__main__':\n    exec({text!r}, {namespace})\n"))


def test_in_an_exec_at_the_top_level_of_the_main_file(start: Start) -> None:
    about(start(f"exec({textwrap.dedent(SERVICE + CALL)!r})\n"))


def test_in_a_function_with_what_it_closes_over(start: Start) -> None:
    program = start(
        """
        import ironbridge.bridge as meta

        def make(greeting):
            @meta.create("local").daemon()
            class Local:
                def __init__(self, name):
                    self.name = name
                @meta.function
                def hello(self):
                    return f"{greeting}, {self.name}"
            return meta.run()

        if __name__ == "__main__":
            with make("Hello") as handle, meta.connect("local", "you") as client:
                print(client.hello())
        """
    )
    assert program.wait_exit() == 0, program.output
    assert program.stdout == ["Hello, you"]


@pytest.mark.parametrize("way", ["-c", "-"])
def test_from_the_command_line_and_from_standard_input(way: str) -> None:
    text = textwrap.dedent(SERVICE + CALL)
    done = subprocess.run(
        [sys.executable, way, *([text] if way == "-c" else [])],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.removeprefix("about "))["main"] == "__main__"


def test_functions_alone(start: Start) -> None:
    program = start(
        """
        import ironbridge.bridge as meta

        service = meta.create("functions")

        @service.register
        def double(x):
            return 2 * x

        @service.register(name="later")
        async def treble(x):
            return 3 * x

        service.register(max, "largest")
        handle = service.run()
        with meta.connect("functions") as client:
            print(client.double(2), client.later(2), client.largest([1, 5]), client.endpoints())
        """
    )
    assert program.wait_exit() == 0, program.output
    assert program.stdout == ["4 6 5 ['double', 'later', 'largest']"]


def test_without_cloudpickle_the_error_names_it(start: Start) -> None:
    program = start(
        """
        import sys
        sys.modules["cloudpickle"] = None
        import ironbridge.bridge as meta

        def make():
            @meta.create("local").daemon()
            class Local:
                @meta.function
                def hello(self): ...
            meta.run()

        try:
            make()
        except meta.ConfigurationError as error:
            print(error)
        """
    )
    assert program.wait_exit() == 0, program.output
    assert "make.<locals>.Local" in program.stdout[0]
    assert "pip install cloudpickle" in program.stdout[0]


def test_what_cannot_be_carried_is_told(start: Start) -> None:
    program = start(
        """
        import ironbridge.bridge as meta, threading

        def make():
            lock = threading.Lock()
            @meta.create("local").daemon()
            class Local:
                @meta.function
                def hello(self):
                    return lock
            meta.run()

        try:
            make()
        except meta.ConfigurationError as error:
            print(error)
        """
    )
    assert program.wait_exit() == 0, program.output
    assert "cannot travel to its daemon by value" in program.stdout[0]
    assert "lock" in program.stdout[0]


def test_the_daemon_has_the_parents_surroundings(start: Start, tmp_path: Any) -> None:
    program = start(
        SERVICE + "    os.environ['SAID'] = 'later'\n    sys.path.append('/added')\n" + CALL,
        "one",
        "--two",
        flags=("-W", "error::UserWarning", "-X", "dev", "-B"),
    )
    seen = about(program)
    assert seen["argv"] == [str(tmp_path / "program.py"), "one", "--two"]
    assert seen["cwd"] == str(tmp_path)
    assert seen["environment"] == "later"
    assert seen["path"][-1] == "/added"
    assert "error::UserWarning" in seen["warnings"]
    assert seen["x"].get("dev")


def test_the_services_own_classes_cross_from_and_to_the_main_file(start: Start) -> None:
    program = start(
        """
        import dataclasses, enum
        import ironbridge.bridge as meta

        class Colour(enum.Enum):
            RED = 1

        @dataclasses.dataclass
        class Point:
            x: int
            colour: Colour = Colour.RED

        class Lost(Exception):
            pass

        @meta.create("points").daemon()
        class Points:
            @meta.function
            def moved(self, point: Point, by: int) -> Point:
                assert type(point) is Point
                return Point(point.x + by, Colour.RED)

            @meta.function
            def fail(self):
                raise Lost("here")

        handle = meta.run()
        with meta.connect("points") as client:
            assert client.moved(Point(1), by=2) == Point(3), client.moved(Point(1), by=2)
            try:
                client.fail()
            except Lost as error:
                print("caught", error)
        """
    )
    assert program.wait_exit() == 0, program.output
    assert program.stdout == ["caught program.Lost: here"]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("1/0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import os; os._exit(4)", "ended with exit code 4 before it was up"),
        ("import os; os.kill(os.getpid(), 9)", "ended by signal 9 before it was up"),
        ("import nowhere", "No module named 'nowhere'"),
    ],
)
def test_a_daemon_that_dies_while_importing_raises_in_the_parent(start: Start, how: str, told: str) -> None:
    program = start(SERVICE + f"    if __name__ != '__main__':\n        {how}\n" + CALL)
    assert program.wait_exit() == 1
    assert told in program.output


def test_the_daemons_traceback_is_shown_and_its_class_is_caught(start: Start) -> None:
    program = start(
        SERVICE
        + """
    def broken():
        return {}["missing"]

    if __name__ != "__main__":
        broken()
    try:
        meta.run()
    except KeyError:
        import traceback
        traceback.print_exc()
    """
    )
    assert program.wait_exit() == 0, program.output
    shown = "\n".join(program.stderr)
    assert 'return {}["missing"]' in shown.partition("Remote traceback")[2]
    assert "importlib" not in shown
    assert shown.endswith("KeyError: 'missing'")


def test_a_daemon_that_is_not_up_in_time_is_killed(start: Start, hold: Callable[[int], Any], tmp_path: Any) -> None:
    program = start(
        SERVICE
        + """
    if __name__ != "__main__":
        print("daemon", os.getpid(), flush=True)
        import threading
        threading.Event().wait()
    try:
        meta.run(startup_timeout=0.7)
    except meta.DeadlineExceeded as error:
        print(error)
    """
    )
    assert program.wait_exit() == 0, program.output
    pid = int(program.wait_line(r"daemon (\d+)")[1])
    program.wait_line(rf"process {pid}\) was not up within 0.7 s, and was killed")
    with pytest.raises(ProcessLookupError):
        hold(pid)


def test_two_services_in_one_file(start: Start) -> None:
    program = start(
        """
        import ironbridge.bridge as meta, os

        @meta.create("one").daemon()
        class One:
            @meta.function
            def name(self):
                return "one"

        one = meta.run()

        @meta.create("two").daemon()
        class Two:
            @meta.function
            def name(self):
                return "two"

        two = meta.run("two")
        with meta.connect("one") as first, meta.connect("two") as second:
            print(first.name(), second.name(), one.pid != two.pid, one.attached, two.attached)
        """
    )
    assert program.wait_exit() == 0, program.output
    assert program.stdout == ["one two True False False"]


def test_ctrl_c_while_a_daemon_starts_ends_it(start: Start) -> None:
    program = start(
        SERVICE
        + """
    if __name__ != "__main__":
        print("daemon", os.getpid(), flush=True)
        import threading
        threading.Event().wait()
    try:
        meta.run(startup_timeout=60)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    """
    )
    pid = int(program.wait_line(r"daemon (\d+)")[1])
    process = os.pidfd_open(pid)
    program.interrupt()
    program.wait_line("interrupted")
    assert program.wait_exit() == 0, program.output
    assert select.select([process], [], [], 5)[0]
    os.close(process)


def test_no_descriptor_and_no_child_is_left_behind(start: Start) -> None:
    program = start(
        SERVICE
        + """
    if __name__ == "__main__":
        import gc
        def descriptors():
            gc.collect()
            return sorted(os.listdir("/proc/self/fd"))
        meta.run().stop()
        before = descriptors()
        meta.run().stop()
        os.environ["BROKEN"] = "1"
        for _ in range(3):
            try:
                meta.run()
            except ZeroDivisionError:
                pass
        print("same", before == descriptors())
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            print("no child")
    elif "BROKEN" in os.environ:
        1/0
    """
    )
    assert program.wait_exit() == 0, program.output
    assert program.stdout == ["same True", "no child"]
