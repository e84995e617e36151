"""Programs: Ctrl+C, and ends of all kinds."""

from __future__ import annotations

import textwrap
import time

import pytest
from harness import RabbitMQ, Relay, lenient, wait_until

from fabric.program import program

WAITS = {
    "a call": ("", "calling.hold(seconds=60)"),
    "a plain call": ("", "calling.sleep(seconds=60)"),
    "publishing": ("gate()", "there.publish_data(b'', {})"),
    "registering": ("gate()", "there.rpc_register(Api())"),
    "subscribing": ("gate()", "there.subscribe_data('sub', {'n': 1}, print)"),
    "opening": ("gate()", "connector('two').open(timeout=60)"),
    "closing": ("there.publish_data; gate(); late()", "there.close(timeout=60)"),
}


@pytest.mark.parametrize("what", WAITS)
def test_ctrl_c_ends_a_wait_at_once_and_the_program_goes_on(rabbitmq: RabbitMQ, vhost_name: str, what: str) -> None:
    before, wait = WAITS[what]
    text = f"""
    def gate():
        print("gate", flush=True)
        sys.stdin.readline()

    def late():
        def publish():
            try:
                there.publish_data(b"", {{}})
            except IronbridgeError:
                pass
        threading.Thread(target=publish, daemon=True).start()
        time.sleep(0.1)

    with AmqBrokerConnector(sys.argv[2], "stage", "actor", "server") as serving:
        serving.rpc_register(Api())
        there = connector(on_error=lambda *_: None)
        there.open()
        calling = proxy(there, "server")
        print(calling.mirror(value="warm"), flush=True)
        {before}
        print("begins", flush=True)
        try:
            {wait}
        except KeyboardInterrupt:
            print("interrupted", time.monotonic(), flush=True)
        sys.stdin.readline()
        with AmqBrokerConnector(sys.argv[2], "stage", "actor", "third") as third:
            print(proxy(third, "server").mirror(value="after"), flush=True)
        print("ends", flush=True)
        os._exit(0)
    """
    direct = rabbitmq.uri(vhost=vhost_name)
    with Relay(rabbitmq.address) as relay:
        through = rabbitmq.uri(vhost=vhost_name, at=relay.address)
        with program(text, through, direct) as running:
            running.wait_line("^warm$")
            if before:
                running.wait_line("^gate$")
                relay.refuse()
                relay.stop_reading()
                running.say("go on")
            running.wait_line("^begins$")
            wait_until(lambda: running.waits(), what="it waits")
            sent = time.monotonic()
            running.interrupt()
            ended = float(running.wait_line(r"^interrupted ([\d.]+)").group(1))
            assert ended - sent < lenient(0.4), running.output
            relay.read_again()
            relay.welcome()
            running.say("go on")
            running.wait_line("^after$")
            running.wait_line("^ends$")
            assert running.wait_exit() == 0, running.output


def test_ctrl_c_ends_an_asyncio_program_in_good_order(vhost: str) -> None:
    text = """
    async def main():
        async with connector() as there:
            await there.rpc_register(Api())
            await (await proxy(there)).mirror(value=1)
            print("begins", flush=True)
            await asyncio.sleep(60)

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    """
    with program(text, vhost) as running:
        running.wait_line("^begins$")
        running.interrupt()
        running.wait_line("^interrupted$")
        assert running.wait_exit() == 0, running.output
        assert not running.stderr, running.output


ENDS = {
    "on a loop, never closed": """
        async def main():
            there = connector(keep_alive_seconds=0.1)
            await there.open()
            await there.rpc_register(Api())
            await there.subscribe_data("sub", {"n": 1}, print)
            assert await (await proxy(there)).mirror(value=1) == 1
        asyncio.run(main())
        """,
    "without a loop, never closed": """
        there = connector(keep_alive_seconds=0.1)
        there.open()
        there.rpc_register(Api())
        there.subscribe_data("sub", {"n": 2}, print)
        there.publish_data(b"x", {"n": 1})
        assert proxy(there).mirror(value=1) == 1
        """,
    "a plain call runs": """
        there = connector()
        there.open()
        there.rpc_register(Api())
        threading.Thread(target=proxy(there).sleep, kwargs={"seconds": 60}, daemon=True).start()
        sys.stdin.readline()
        """,
    "a plain call computes": """
        there = connector()
        there.open()
        there.rpc_register(Api())
        threading.Thread(target=proxy(there).spin, kwargs={"seconds": 60}, daemon=True).start()
        sys.stdin.readline()
        """,
    "a plain call runs, on a loop": """
        async def main():
            there = connector()
            await there.open()
            await there.rpc_register(Api())
            call = (await proxy(there)).sleep(seconds=60)
            await asyncio.to_thread(sys.stdin.readline)
        asyncio.run(main())
        """,
    "a coroutine runs": """
        there = connector()
        there.open()
        there.rpc_register(Api())
        threading.Thread(target=proxy(there).hold, kwargs={"seconds": 60}, daemon=True).start()
        sys.stdin.readline()
        """,
    "threads call all the time": """
        there = connector()
        there.open()
        there.rpc_register(Api())
        def work():
            calling = proxy(there)
            while True:
                calling.mirror(value=1)
                print("begun", flush=True)
        for _ in range(4):
            threading.Thread(target=work, daemon=True).start()
        sys.stdin.readline()
        sys.exit(0)
        """,
    "an exception": """
        there = connector()
        there.open()
        there.rpc_register(Api())
        sys.excepthook = lambda *_: None
        raise RuntimeError
        """,
    "log records": """
        import logging
        there = connector()
        there.open()
        handler = AmqpHandler()
        there.init_logging_handler(handler)
        logging.getLogger().addHandler(handler)
        logging.getLogger().warning("at the end")
        """,
}


@pytest.mark.parametrize("how", ENDS)
def test_a_program_that_ends_without_closing_ends_at_once(vhost: str, how: str) -> None:
    text = textwrap.dedent(ENDS[how])
    with program(text, vhost) as running:
        if "readline" in text:
            running.wait_line("^begun$")
            running.say("end")
        begun = time.monotonic()
        code = running.wait_exit(15)
        assert code == (1 if how == "an exception" else 0), running.output
        assert time.monotonic() - begun < lenient(5)
        assert not running.stderr, running.output


def test_a_program_that_ends_while_the_broker_is_silent_ends_at_once(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    text = """
    there = connector()
    there.open()
    there.rpc_register(Api())
    print("ready", flush=True)
    sys.stdin.readline()
    """
    with (
        Relay(rabbitmq.address) as relay,
        program(text, rabbitmq.uri(vhost=vhost_name, at=relay.address)) as running,
    ):
        running.wait_line("^ready$")
        relay.stop_reading()
        running.say("end")
        begun = time.monotonic()
        assert running.wait_exit() == 0, running.output
        assert time.monotonic() - begun < lenient(5)
