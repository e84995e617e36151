"""A bridge to MQTT: devices publish to a broker, services at the hub hear them; and the other way round.

python mqtt_bridge.py [host port sender receiver]      (pip install aiomqtt)

| on the hub | on MQTT |
|---|---|
| a broadcast of service S | published to `hub/S` |
| broadcast by `MqttBridge`: `{"topic": …, "data": …}` | any message under `devices/` |
| the action `publish`, `{"topic": …, "data": …}` | published to that topic |
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import aiomqtt
from ironbridge.hub import MicroService


class MqttBridge(MicroService):
    def __init__(self, host: str, port: int, sender: str, receiver: str) -> None:
        super().__init__(self, sender_endpoint=sender, receiver_endpoint=receiver)
        self.host, self.port = host, port
        self.broker: aiomqtt.Client | None = None

    # A task that fails starts again, after a pause that grows: that is all it takes to come back to a broker.
    @MicroService.task
    async def listen(self) -> None:
        async with aiomqtt.Client(self.host, self.port) as broker:
            await broker.subscribe("devices/#")
            self.broker = broker
            print("at the broker", flush=True)
            try:
                async for message in broker.messages:
                    await self.send_broadcast({"topic": str(message.topic), "data": decoded(message.payload)})
            finally:
                self.broker = None

    @MicroService.action
    async def publish(self, service: str, data: dict[str, Any]) -> None:
        await self.to_broker(data["topic"], data["data"])

    async def on_broadcast(self, service: str, data: Any) -> None:
        await self.to_broker(f"hub/{service}", data)

    async def to_broker(self, topic: str, data: Any) -> None:
        if self.broker is None:
            raise ConnectionError("the broker is away")
        await self.broker.publish(topic, json.dumps(data), qos=1)

    async def on_error(self, error: BaseException, where: str) -> None:
        print(f"{where}: {error}", flush=True)


def decoded(payload: Any) -> Any:
    """What a device said: JSON, or else its text."""
    text = bytes(payload or b"").decode(errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text


async def main(
    host: str = "127.0.0.1",
    port: str = "1883",
    sender: str = "ipc:///tmp/sender",
    receiver: str = "ipc:///tmp/receiver",
) -> None:
    await MqttBridge(host, int(port), sender, receiver).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
