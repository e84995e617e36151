"""A program written for amqp-fabric does the same with it and, unchanged, with ours in its place."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from harness import Program, wait_until
from ironbridge.fabric import AmqBrokerConnector

PROGRAM = """
import asyncio
import logging
import sys
import threading

import amqp_fabric
import amqp_fabric.amq_broker_connector as broker
from amqp_fabric import abstract_service_api, logging_amqp_handler
from amqp_fabric.abstract_service_api import AbstractServiceApi
from amqp_fabric.amq_broker_connector import AmqBrokerConnector
from amqp_fabric.logging_amqp_handler import AmqpHandler

assert amqp_fabric.amq_broker_connector is broker
assert broker.AmqBrokerConnector is AmqBrokerConnector
assert abstract_service_api.AbstractServiceApi is AbstractServiceApi
assert logging_amqp_handler.AmqpHandler is AmqpHandler


class Api(AbstractServiceApi):
    def where(self):
        asyncio.get_running_loop()
        return threading.current_thread() is threading.main_thread()

    def later(self):
        # A plain method may start what the loop runs.
        self.begun = asyncio.get_running_loop().create_task(self.slow(4))

    async def begun_gave(self):
        return await self.begun

    async def slow(self, x):
        await asyncio.sleep(0)
        return x * 2

    def odd(self):
        return {"set": {1}, "bytes": b"xx", "kind": int, "tuple": (1, 2)}

    def fail(self, kind):
        raise {"value": ValueError, "key": KeyError, "time": TimeoutError}[kind]("no")


def connector(**identity):
    settings = dict(amqp_uri=sys.argv[1], keep_alive_seconds=0.2, keep_alive_listen=True)
    return AmqBrokerConnector(**{**settings, **identity})


async def until(predicate):
    async with asyncio.timeout(15):
        while not predicate():
            await asyncio.sleep(0.01)


async def calls(server, client):
    await server.rpc_register(Api())
    proxy = await client.rpc_proxy("shop", 7, "till")
    print(await proxy.where(), await proxy.later(), await proxy.begun_gave(), await proxy.slow(x="ab"), await proxy.health_check())
    print(sorted((await proxy.odd()).items()))
    for kind, error in (("value", ValueError), ("key", LookupError), ("time", asyncio.TimeoutError)):
        try:
            await proxy.fail(kind=kind)
        except error as raised:
            print("caught", error.__name__, "no" in str(raised))
    try:
        await proxy.nothing_of_the_kind()
    except Exception:
        print("not there")
    try:
        await proxy.slow(5)
    except TypeError:
        print("names are needed")


async def data(server, client):
    plain, kept, blocks = [], [], []

    def printed(message):
        plain.append(message.body)

    async def keep(message):
        kept.append(message)

    async def block(message):
        async with message.process():
            blocks.append((message.body, message.headers["n"], str(message.headers["service_id"])))

    for name, callback in (("plain", printed), ("kept", keep), ("blocks", block)):
        await client.subscribe_data(subscriber_name=name, headers={"kind": "row"}, callback=callback)
    for n in range(3):
        server.publish_data(f"row {n}".encode(), headers={"kind": "row", "n": n})
    await until(lambda: min(map(len, (plain, kept, blocks))) == 3)
    print(sorted(plain), sorted(blocks))
    for message in kept:
        await message.ack()
    print([message.processed for message in kept])


async def presence(server, client):
    heard = []

    async def alive(headers):
        heard.append((headers["msg_type"], headers["service_domain"], str(headers["service_id"]), headers["service_type"]))

    client.subscribe_service_keepalives("watch", alive)
    everybody = [
        {"domain": "garage", "type": "till", "id": "client"},
        {"domain": "shop", "type": "till", "id": "7"},
    ]
    await until(lambda: sorted(client.list_services(), key=str) == everybody)
    await until(lambda: len(set(heard)) == 2)
    print(sorted(set(heard)))
    print(client.list_services("shop"), client.list_services(service_type="door"), client.list_services("garage", "door"))


async def main():
    server = connector(service_domain="shop", service_type="till", service_id=7)
    client = connector(service_domain="garage", service_type="till", service_id="client")
    print(server.fqn, server.domain, server.service_type, server.service_id, server.data_exchange)
    await server.open(timeout=10)
    await client.open(timeout=10)
    await calls(server, client)
    other = connector(service_domain="shop", service_type="till", service_id="reader", keep_alive_seconds=False)
    await other.open()
    await data(server, other)
    await other.close()
    await presence(server, client)
    handler = AmqpHandler()
    logging.getLogger("of the program").addHandler(handler)
    await server.init_logging_handler(handler)
    logging.getLogger("of the program").error("heard %s", 1)
    try:
        connector(service_domain="a b", service_type="till", service_id="x")
    except AttributeError:
        print("not an identity")
    await client.close()
    await server.close()


asyncio.run(main())
"""

EXPECTED = """\
shop.till.7 shop till 7 shop.data
True None 8 abab True
[('bytes', "b'xx'"), ('kind', "<class 'int'>"), ('set', '{1}'), ('tuple', [1, 2])]
caught ValueError True
caught LookupError True
caught TimeoutError True
not there
names are needed
[b'row 0', b'row 1', b'row 2'] [(b'row 0', 0, '7'), (b'row 1', 1, '7'), (b'row 2', 2, '7')]
[True, True, True]
[('keep_alive', 'garage', 'client', 'till'), ('keep_alive', 'shop', '7', 'till')]
[{'domain': 'shop', 'type': 'till', 'id': '7'}] [] []
not an identity
""".splitlines()

WAYS: dict[str, list[str]] = {
    "original": [],
    "compat": ["-m", "ironbridge.compat"],
    "compat -m": ["-m", "ironbridge.compat", "-m"],
}


@pytest.mark.parametrize("way", WAYS)
def test_it_prints_the_same(tmp_path: Path, vhost: str, way: str) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    name = "program" if way == "compat -m" else "program.py"
    with Program([sys.executable, *WAYS[way], name, vhost], cwd=tmp_path) as program:
        assert program.wait_exit(20) == 0, program.output
        assert program.stdout == EXPECTED
        if way != "original":
            assert program.stderr == []


SUBSCRIBER = """
import asyncio, sys
from amqp_fabric.amq_broker_connector import AmqBrokerConnector

async def main():
    amq = AmqBrokerConnector(sys.argv[1], "shop", "till", sys.argv[2])
    await amq.open(timeout=10)

    async def taken(message):
        print(message.body.decode(), flush=True)
        await message.ack()

    await amq.subscribe_data("group", {"kind": "row"}, taken)
    print("up", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_it_shares_a_subscribers_messages_with_one_that_still_runs_the_original(tmp_path: Path, vhost: str) -> None:
    (tmp_path / "subscriber.py").write_text(SUBSCRIBER)
    compat, original = (
        Program([sys.executable, *WAYS[way], "subscriber.py", vhost, way], cwd=tmp_path)
        for way in ("compat", "original")
    )
    with compat, original, AmqBrokerConnector(vhost, "shop", "door", "publisher") as publisher:
        compat.wait_line("up")
        original.wait_line("up")
        for number in range(20):
            publisher.publish_data(str(number).encode(), {"kind": "row"})
        wait_until(lambda: len(compat.stdout) + len(original.stdout) >= 22, what="all are taken")
        assert sorted(compat.stdout[1:] + original.stdout[1:], key=int) == [str(number) for number in range(20)]
        assert len(compat.stdout) > 1
        assert len(original.stdout) > 1
