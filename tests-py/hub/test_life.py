"""How services end, and what becomes of what they had to say: signals, forks, exits."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from harness import Program, wait_until

from hub.actors import Endpoints, Start, StartHub, meet

pytestmark = pytest.mark.timeout(90)

DOCUMENT = """
import asyncio, sys
from ironbridge.hub import MicroService

class MyService:
    @MicroService.action
    async def hello(self, origin, data):
        print(f"Recebido de {origin}: {data}", flush=True)

    @MicroService.task
    async def heartbeat(self):
        print("Estou vivo", flush=True)
        try:
            while True:
                await asyncio.sleep(5)
        finally:
            print("task ends", flush=True)

if __name__ == '__main__':
    service = MicroService(service=MyService(), sender_endpoint=sys.argv[1], receiver_endpoint=sys.argv[2])
    asyncio.run(service.run())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_documents_program_ends_at_a_signal(at: Endpoints, number: signal.Signals) -> None:
    with Program.python(DOCUMENT, at.sender, at.receiver) as program:
        program.wait_line("Estou vivo")
        program.signal(number)
        program.wait_exit(10)
        assert "task ends" in program.stdout
        assert "Traceback" not in program.output or number == signal.SIGINT
        assert "never retrieved" not in program.output
    assert not at.listened()


def test_the_documents_program_answers(at: Endpoints, service: Start) -> None:
    with Program.python(DOCUMENT, at.sender, at.receiver) as program:
        one = service("One")
        one.wait("new_service", service="MyService")
        one.request("hello", "olá")
        program.wait_line("Recebido de One: olá")


def test_sigterm_lets_a_running_action_finish_and_its_response_leave(hub: StartHub, service: Start) -> None:
    hub()
    one, two = service("One"), service("Two")
    meet(one, two)
    under_way = one.begin("call", "two_hold", 0.7, timeout=20)
    two.wait("two_hold")
    two.signal(signal.SIGTERM)
    assert one.result(under_way) == 0.7
    two.wait("ended")


def test_what_is_queued_when_a_service_stops_is_sent(hub: StartHub, service: Start) -> None:
    hub()
    one, two = service("One"), service("Two", quiet=["response"])
    meet(one, two)
    before = two.do("counts").get("response", 0)
    assert one.do("flood", "response", "Two", 0, 5000, 1000)["taken"] == 5000
    one.stop()
    wait_until(lambda: two.do("counts").get("response", 0) - before >= 5000, 20, "all of them")


SHORT = """
import asyncio, sys
from ironbridge.hub import MicroService

class Short(MicroService):
    def __init__(self):
        super().__init__(self, sender_endpoint=sys.argv[1], receiver_endpoint=sys.argv[2])

async def main():
    async with Short() as service:
        for number in range(2000):
            await service.response("Two", number)

asyncio.run(main())
"""


def test_a_program_that_sends_and_ends_has_sent_all(hub: StartHub, at: Endpoints, service: Start) -> None:
    hub()
    two = service("Two", quiet=["response"], collect=["response"])
    two.wait("connect")
    with Program.python(SHORT, at.sender, at.receiver) as program:
        assert program.wait_exit() == 0, program.output
    wait_until(lambda: len(two.do("collected", "response")) == 2000, what="all of them")
    assert two.do("collected", "response") == list(range(2000))


UNSENT = """
import asyncio, sys
from ironbridge.hub import MicroService

class Unsent(MicroService):
    def __init__(self):
        super().__init__(self, sender_endpoint=sys.argv[1], receiver_endpoint=sys.argv[2], hub="never", grace=0.5)

async def main():
    service = Unsent()
    async with service:
        print("here", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        for number in range(7):
            await service.response("Two", number)

asyncio.run(main())
"""


def test_what_cannot_be_sent_before_the_end_is_reported(hub: StartHub, at: Endpoints) -> None:
    place = hub()
    with Program.python(UNSENT, at.sender, at.receiver) as program:
        program.wait_line("here")
        place.kill()
        program.say("go on")
        program.wait_exit()
        program.wait_line("7 messages|7 .*unsent|7 .*not sent")


FORKS = """
import asyncio, os, sys
from ironbridge.hub import MicroService, IronbridgeError

class Parent(MicroService):
    def __init__(self):
        super().__init__(self, sender_endpoint=sys.argv[1], receiver_endpoint=sys.argv[2])

    @MicroService.action
    async def fork(self, service, data):
        child = os.fork()
        if not child:
            try:
                sent = self.send_broadcast("from the child")
                try:
                    sent.send(None)
                    print("child: sent", flush=True)
                except StopIteration:
                    print("child: sent", flush=True)
                except IronbridgeError as error:
                    print(f"child: {type(error).__name__}", flush=True)
            finally:
                os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

asyncio.run(Parent().run())
"""


def test_a_fork_of_a_service_neither_speaks_in_its_name_nor_harms_it(
    hub: StartHub, at: Endpoints, service: Start
) -> None:
    hub()
    one = service("One")
    one.wait("connect")
    with Program.python(FORKS, at.sender, at.receiver) as program:
        one.wait("new_service", service="Parent")
        for _ in range(3):
            assert one.call("fork", None) == 0
        program.wait_line("child: ")
        assert "child: sent" not in program.output
        assert not one.events("broadcast", data="from the child")
        assert one.call("fork", None) == 0, "the parent is at its hub as before"


TASKS = """
import asyncio, sys, time
from ironbridge.hub import MicroService

class Worker:
    tries = 0
    @MicroService.task
    async def fails_twice(self):
        self.tries += 1
        print(f"try {self.tries} {time.monotonic()}", flush=True)
        if self.tries < 4:
            raise RuntimeError("not yet")
        print("well", flush=True)
        await asyncio.sleep(3600)

    @MicroService.task
    def plain(self):
        print("plain ran", flush=True)

    async def on_error(self, error, where):
        print(f"told {type(error).__name__} in {where}", flush=True)

    @MicroService.action(name="renamed")
    def plain_action(self, service, data):
        return [service, data]

service = MicroService(Worker(), sys.argv[1], sys.argv[2], restart=(0.05, 1))
asyncio.run(service.run())
"""


def test_a_task_that_fails_starts_again_with_growing_pauses(at: Endpoints, service: Start) -> None:
    with Program.python(TASKS, at.sender, at.receiver) as program:
        program.wait_line("well")
        program.wait_line("plain ran")
        program.wait_line("told RuntimeError in task .fails_twice")
        one = service("One")
        one.wait("new_service", service="Worker")
        assert one.call("renamed", 1) == ["One", 1]
        times = [float(line.split()[2]) for line in program.stdout if line.startswith("try")]
        assert len(times) == 4
        assert times[3] - times[2] > times[1] - times[0]


def test_uvloop_serves_as_asyncio_does(hub: StartHub, service: Start) -> None:
    first = hub()
    one, two = service("One", uvloop=True, options={"hub": "never"}), service("Two", uvloop=True)
    meet(one, two)
    assert one.do("calls", "two_mirror", 200, 20) == {"right": 200}
    first.kill()
    meet(one, two)
    one.stop()
    two.wait("lost", service="One")


def test_msgpack_by_name_carries_what_json_cannot(hub: StartHub, service: Start) -> None:
    hub()
    one, two = service("One", serializer="msgpack"), service("Two", serializer="msgpack")
    meet(one, two)
    assert one.call("two_mirror", {"a": [1, None, "é"]}) == {"a": [1, None, "é"]}


def test_the_hub_of_the_command_line_serves(at: Endpoints, service: Start) -> None:
    import sys

    command = [sys.executable, "-m", "ironbridge.cli", "hub", "--sender", at.sender, "--receiver", at.receiver]
    with Program(command) as program:
        wait_until(lambda: at.listened() or program.returncode is not None, what="the hub listens")
        assert program.returncode is None, program.output
        one, two = service("One"), service("Two")
        meet(one, two)
        program.interrupt()
        program.wait_exit()
        assert "Traceback" not in program.output


def test_no_file_is_left_behind_by_a_hub_that_ended(at: Endpoints, hub: StartHub) -> None:
    place = hub()
    place.signal(signal.SIGTERM)
    assert place.wait_exit() in (0, -signal.SIGTERM)
    for endpoint in (at.sender, at.receiver):
        assert not Path(endpoint.removeprefix("ipc://")).exists()
