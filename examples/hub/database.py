"""A service that keeps what others send it, and tells what it has. Start it and `sensor.py` in any order.

python database.py [sender receiver]
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from typing import Any

from ironbridge.hub import MicroService


class Database(MicroService):
    def __init__(self, sender: str = "ipc:///tmp/sender", receiver: str = "ipc:///tmp/receiver") -> None:
        super().__init__(self, sender_endpoint=sender, receiver_endpoint=receiver)
        self.lock = threading.Lock()
        self.rows = sqlite3.connect(":memory:", check_same_thread=False)
        self.rows.execute("create table readings (sensor text, celsius real)")

    # A plain method may take its time: it runs on a thread.
    @MicroService.action
    def store(self, service: str, data: dict[str, Any]) -> None:
        with self.lock, self.rows:
            self.rows.execute("insert into readings values (?, ?)", (service, data["celsius"]))

    @MicroService.action
    def mean(self, service: str, sensor: str) -> dict[str, Any]:
        with self.lock:
            query = "select count(*), avg(celsius) from readings where sensor = ?"
            count, mean = self.rows.execute(query, (sensor,)).fetchone()
        return {"count": count, "celsius": mean}

    async def on_new_service(self, service: str, actions: list[str]) -> None:
        print(f"{service} is here", flush=True)

    async def on_service_lost(self, service: str) -> None:
        print(f"{service} has left", flush=True)


if __name__ == "__main__":
    asyncio.run(Database(*sys.argv[1:]).run())
