"""A sensor: tells its readings to all, has them stored, and asks for their mean. Start it and `database.py` in any order.

python sensor.py [sender receiver]
"""

from __future__ import annotations

import asyncio
import itertools
import math
import sys

from ironbridge.hub import DeadlineExceeded, MicroService, ServiceNotFound


class Thermometer:
    @MicroService.task
    async def measure(self) -> None:
        for number in itertools.count():
            reading = {"celsius": round(20 + 5 * math.sin(number / 10), 2)}
            await self.send_broadcast(reading)
            await self.request_action("store", reading)
            await asyncio.sleep(0.05)

    @MicroService.task
    async def report(self) -> None:
        while True:
            try:
                mean = await self.call("mean", "Thermometer", timeout=1.0)
                if mean["count"]:
                    print(f"{mean['count']} readings, {mean['celsius']:.2f} °C in the mean", flush=True)
                await asyncio.sleep(1.0)
            except (DeadlineExceeded, ServiceNotFound):
                print("nobody keeps the readings yet", flush=True)


def main(sender: str = "ipc:///tmp/sender", receiver: str = "ipc:///tmp/receiver") -> None:
    service = MicroService(Thermometer(), sender_endpoint=sender, receiver_endpoint=receiver)
    asyncio.run(service.run())


if __name__ == "__main__":
    main(*sys.argv[1:])
