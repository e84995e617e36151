"""Those who ask servers for something: `load.py requests PORT METHOD PATH SECONDS` and `load.py sockets PORT COUNT`."""

import asyncio
import base64
import os
import sys
import time

CONNECTIONS = 16


async def requests(port: int, method: str, path: str, seconds: float) -> None:
    """Asks again and again on some connections; prints answers each second."""
    until = time.monotonic() + seconds
    request = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n\r\n".encode()

    async def ask() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answered = 0
        while time.monotonic() < until:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not head.startswith(b"http/1.1 200"):
                raise SystemExit(head.decode())
            _, _, rest = head.partition(b"content-length:")
            await reader.readexactly(int(rest.partition(b"\r")[0]))
            answered += 1
        writer.close()
        return answered

    print(sum(await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))) / seconds)


async def sockets(port: int, count: int) -> None:
    """Opens websockets and reads; prints `open`, then bytes that have come whenever none has come for a while."""
    key = base64.b64encode(os.urandom(16)).decode()
    head = "GET /notes/ HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    head += f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    came = 0

    async def listen(reader: asyncio.StreamReader) -> None:
        nonlocal came
        while data := await reader.read(1 << 16):
            came += len(data)

    readers = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode())
        await reader.readuntil(b"\r\n\r\n")
        readers.append((asyncio.create_task(listen(reader)), writer))
    print("open", flush=True)
    told = 0
    while True:
        before = came
        await asyncio.sleep(0.2)
        if came == before and came > told:
            told = came
            print(f"came {came}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "requests":
        asyncio.run(requests(int(sys.argv[2]), sys.argv[3], sys.argv[4], float(sys.argv[5])))
    else:
        asyncio.run(sockets(int(sys.argv[2]), int(sys.argv[3])))
