"""SIGTERM and Ctrl+C while services run, in programs of their own."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from harness import Program

from hub.face import place

# Its action waits until a line is said on stdin; its ends are printed.
PROGRAM = """
import asyncio, signal, sys, threading
from ironbridge.hub import MicroService

class Slow:
    @MicroService.action
    async def wait(self, service, data):
        print("waits", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        print("went", flush=True)

    @MicroService.task
    async def beat(self):
        try:
            await asyncio.Event().wait()
        finally:
            print("task ended", flush=True)

class Caller:
    async def on_new_service(self, service, actions):
        await self.request_action("wait", None)

def make(kind):
    return MicroService(kind(), sender_endpoint=sys.argv[1], receiver_endpoint=sys.argv[2])

slow = make(Slow)
caller = make(Caller)
"""

ALONE = """
async def main():
    async with caller:
        await slow.run()
    print("returned", [signal.getsignal(n).__class__.__name__ for n in (signal.SIGTERM, signal.SIGINT)], flush=True)

asyncio.run(main())
"""

UVLOOP = """
import uvloop

async def main():
    async with caller:
        await slow.run()
    print("returned", flush=True)

uvloop.run(main())
"""

TOGETHER = """
async def main():
    await asyncio.gather(slow.run(), caller.run())
    print("returned", flush=True)

asyncio.run(main())
"""

LARGER = """
async def other():
    try:
        await asyncio.Event().wait()
    finally:
        print("other ended", flush=True)

async def main():
    async with asyncio.TaskGroup() as group:
        for part in (slow.run(), caller.run(), other()):
            group.create_task(part)

asyncio.run(main())
"""

OWN_HANDLER = """
async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, lambda: (print("mine", flush=True), slow.stop()))
    async with caller:
        await slow.run()
    print("returned", flush=True)

asyncio.run(main())
"""

THREAD = """
async def main():
    async with caller:
        await slow.run()
    print("returned", flush=True)

thread = threading.Thread(target=lambda: asyncio.run(main()))
thread.start()
thread.join()
print("handlers", signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, flush=True)
"""


def program(tmp_path: Path, end: str) -> Program:
    return Program.python(PROGRAM + end, *place(tmp_path).values())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_is_the_program_drains_and_the_program_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    with program(tmp_path, ALONE) as run:
        run.wait_line("waits")
        run.signal(number)
        run.wait_line("task ended")
        run.say("go")
        assert run.wait_exit() == 0, run.output
        # The handlers are those of before again.
        assert run.stdout == ["waits", "task ended", "went", "returned ['Handlers', 'partial']"]
        assert run.stderr == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_on_uvloop_drains_as_well(tmp_path: Path, number: signal.Signals) -> None:
    with program(tmp_path, UVLOOP) as run:
        run.wait_line("waits")
        run.signal(number)
        run.wait_line("task ended")
        run.say("go")
        assert run.wait_exit() == 0, run.output
        assert run.stdout[-2:] == ["went", "returned"]


def test_several_services_drain_together(tmp_path: Path) -> None:
    with program(tmp_path, TOGETHER) as run:
        run.wait_line("waits")
        run.signal(signal.SIGTERM)
        run.wait_line("task ended")
        run.say("go")
        assert run.wait_exit() == 0, run.output
        assert run.stdout[-2:] == ["went", "returned"]


def test_ctrl_c_ends_a_larger_program_as_asyncio_does_once_its_services_have_drained(tmp_path: Path) -> None:
    with program(tmp_path, LARGER) as run:
        run.wait_line("waits")
        run.interrupt()
        run.wait_line("other ended")
        run.say("go")
        assert run.wait_exit() == -signal.SIGINT, run.output
        assert "went" in run.stdout
        assert run.stderr[-1] == "KeyboardInterrupt"


def test_sigterm_ends_a_larger_program_once_its_services_have_drained(tmp_path: Path) -> None:
    with program(tmp_path, LARGER) as run:
        run.wait_line("waits")
        run.signal(signal.SIGTERM)
        run.wait_line("task ended")
        run.say("go")
        assert run.wait_exit() == -signal.SIGTERM, run.output
        assert run.stdout[-1] == "went"


def test_a_second_signal_does_what_it_would_without_us(tmp_path: Path) -> None:
    with program(tmp_path, ALONE) as run:
        run.wait_line("waits")
        run.signal(signal.SIGTERM)
        run.wait_line("task ended")
        run.signal(signal.SIGTERM)
        assert run.wait_exit() == -signal.SIGTERM, run.output


def test_a_signal_that_the_program_handles_is_left_to_it(tmp_path: Path) -> None:
    with program(tmp_path, OWN_HANDLER) as run:
        run.wait_line("waits")
        run.signal(signal.SIGTERM)
        run.wait_line("mine")
        run.say("go")
        assert run.wait_exit() == 0, run.output
        assert run.stdout[-1] == "returned"


def test_a_service_on_another_thread_leaves_signals_alone(tmp_path: Path) -> None:
    with program(tmp_path, THREAD) as run:
        run.wait_line("waits")
        run.signal(signal.SIGTERM)
        assert run.wait_exit() == -signal.SIGTERM, run.output
