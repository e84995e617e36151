"""The gateway and the bridge of examples/hub, each run as a user would run it."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from harness import Mosquitto, Program, wait_until

from hub.actors import Endpoints, Service, Start

EXAMPLES = Path(__file__).parents[2] / "examples" / "hub"


@pytest.fixture
def gateway(at: Endpoints) -> Iterator[int]:
    """The gateway's port."""
    with Program.python(EXAMPLES / "http_gateway.py", "0", at.sender, at.receiver) as program:
        yield int(program.wait_line(r"listening on (\d+)").group(1))
        assert "never retrieved" not in program.output


@pytest.fixture
def worker(service: Start) -> Service:
    one = service("Worker")
    one.wait("connect")
    return one


def ask(port: int, method: str, path: str, body: str | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request(method, path, body.encode() if body else None)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_http_reaches_an_action_and_back(gateway: int, worker: Service) -> None:
    wait_until(lambda: "Worker" in ask(gateway, "GET", "/services")[1], what="the gateway knows the service")
    assert "worker_mirror" in ask(gateway, "GET", "/services")[1]["Worker"]
    assert ask(gateway, "POST", "/call/worker_mirror", '{"olá": [1, null]}') == (200, {"olá": [1, None]})


def test_http_is_told_what_went_wrong(gateway: int, worker: Service) -> None:
    wait_until(lambda: "Worker" in ask(gateway, "GET", "/services")[1], what="the gateway knows the service")
    status, told = ask(gateway, "POST", "/call/worker_fail", '"this"')
    assert status == 502
    assert "this" in told["message"]
    assert ask(gateway, "POST", "/call/nobody_has_it", "1")[0] == 404
    assert ask(gateway, "POST", "/call/worker_mirror", "{")[0] == 400
    assert ask(gateway, "GET", "/nothing")[0] == 404
    assert ask(gateway, "POST", "/call/worker_mirror", "1") == (200, 1)


def test_http_broadcasts_and_follows_broadcasts(gateway: int, worker: Service) -> None:
    assert ask(gateway, "POST", "/broadcast", '{"door": "open"}') == (202, None)
    worker.wait("broadcast", service="Gateway", data={"door": "open"})
    connection = http.client.HTTPConnection("127.0.0.1", gateway, timeout=15)
    connection.request("GET", "/events")
    response = connection.getresponse()
    assert response.headers["Content-Type"] == "text/event-stream"
    worker.broadcast({"room": 7})
    assert json.loads(response.readline().removeprefix(b"data: ")) == {"service": "Worker", "data": {"room": 7}}
    connection.close()


@pytest.fixture(scope="module")
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as server:
        yield server


@pytest.fixture
def bridge(at: Endpoints, broker: Mosquitto) -> Iterator[Program]:
    if not broker.running:
        broker.start()
    words = broker.host, str(broker.port), at.sender, at.receiver
    with Program.python(EXAMPLES / "mqtt_bridge.py", *words) as program:
        program.wait_line("at the broker")
        yield program


async def test_a_device_on_mqtt_is_heard_at_the_hub(bridge: Program, broker: Mosquitto, worker: Service) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as device:
        await device.publish("devices/thermometer/1", json.dumps({"celsius": 21.5}), qos=1)
        await device.publish("devices/door", "open", qos=1)
    data = {"topic": "devices/thermometer/1", "data": {"celsius": 21.5}}
    await asyncio.to_thread(worker.wait, "broadcast", service="MqttBridge", data=data)
    await asyncio.to_thread(worker.wait, "broadcast", data={"topic": "devices/door", "data": "open"})


async def test_services_reach_mqtt_by_broadcast_and_by_action(
    bridge: Program, broker: Mosquitto, worker: Service
) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as device, asyncio.timeout(15):
        await device.subscribe("#", qos=1)
        await asyncio.to_thread(worker.wait, "new_service", service="MqttBridge")
        await asyncio.to_thread(worker.broadcast, {"n": 1})
        await asyncio.to_thread(worker.call, "publish", {"topic": "lamps/1", "data": "on"})
        arrived = {}
        async for message in device.messages:
            arrived[str(message.topic)] = json.loads(bytes(message.payload))
            if len(arrived) == 2:
                break
        assert arrived == {"hub/Worker": {"n": 1}, "lamps/1": "on"}


async def test_the_bridge_comes_back_to_a_broker_that_was_away(
    bridge: Program, broker: Mosquitto, worker: Service
) -> None:
    await asyncio.to_thread(broker.kill)
    bridge.wait_line('task "listen": ')
    await asyncio.to_thread(broker.start)
    wait_until(lambda: sum("at the broker" in line for line in bridge.stdout) == 2, 30, "it is at the broker again")
    async with aiomqtt.Client(broker.host, broker.port) as device:
        await device.publish("devices/back", "1", qos=1)
    await asyncio.to_thread(worker.wait, "broadcast", data={"topic": "devices/back", "data": 1})
