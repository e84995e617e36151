"""Our hub as a program, its statistics a line of JSON for each line of standard input: `server.py SENDER RECEIVER [SECRET]`."""

import asyncio
import json
import logging
import sys

from ironbridge.hub import Server


async def main(sender: str, receiver: str, secret: str | None = None) -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    server = Server(sender_endpoint=sender, receiver_endpoint=receiver, secret=secret)
    serving = asyncio.create_task(server.run())
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)

    async def answer() -> None:
        async for _ in lines:
            print(json.dumps({"event": "stats", **server.stats()}, default=repr), flush=True)

    answering = asyncio.create_task(answer())
    await serving
    answering.cancel()


asyncio.run(main(*sys.argv[1:]))
