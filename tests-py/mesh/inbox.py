"""A place that takes what is posted to it over HTTP."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass
class Inbox:
    """Listens on this machine; answers with `status`."""

    status: str = "202 Accepted"
    posted: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._came = asyncio.Condition()
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *raised: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def wait(self, count: int = 1) -> list[tuple[str, dict[str, str], Any]]:
        """The first that came: path, headers, and what its JSON says."""
        async with asyncio.timeout(10), self._came:
            await self._came.wait_for(lambda: len(self.posted) >= count)
        return self.posted[:count]

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *rest = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        writer.write(f"HTTP/1.1 {self.status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()
        async with self._came:
            self.posted.append((first.split()[1], headers, body))
            self._came.notify_all()
