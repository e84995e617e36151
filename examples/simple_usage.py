"""A service, and a prompt to call it and others: `uv run examples/simple_usage.py`.

It meets other nodes at Redis (`examples/compose/run-dev.sh`), among them one in JavaScript
(`examples/compose/run-js-node.sh`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from typing import Any

from ironbridge.mesh import BaseService, Broker, MoleculerError, action, event

REDIS_URL = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
HELP = """call ACTION [JSON]    calls an action
emit EVENT [JSON]     tells one service of each group
broadcast EVENT [JSON] tells all services
nodes                 shows the node registry
services              lists registered services
exit                  ends"""


class GreeterService(BaseService):
    """Greets, and hears of random numbers."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker, "greeter-py")

    @action()
    async def hello(self, params: dict[str, Any]) -> dict[str, str]:
        """Greets somebody."""
        return {"result": f"Hello, {params.get('name', 'World')}!"}

    @event("ev_random_number")
    async def on_random_number(self, params: dict[str, Any]) -> None:
        """A number was drawn, perhaps by a node in JavaScript."""
        print(f"ev_random_number: {json.dumps(params)}", flush=True)


async def read(prompt: str) -> str:
    """A line from the terminal, while the broker goes on; raises EOFError at the end."""
    if sys.stdin.isatty():
        try:
            from aioconsole import ainput
        except ImportError:
            return await asyncio.to_thread(input, prompt)
        line: str = await ainput(prompt)
        return line
    line = await asyncio.to_thread(sys.stdin.readline)
    if not line:
        raise EOFError
    return line.strip()


def show(value: Any) -> None:
    """Prints a value as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str), flush=True)


async def run(broker: Broker, line: str) -> bool:
    """Does what a line says; whether more are wanted."""
    command, _, rest = line.partition(" ")
    name, _, text = rest.strip().partition(" ")
    if command == "exit":
        return False
    if command in ("call", "emit", "broadcast"):
        if not name:
            print(HELP)
            return True
        params = json.loads(text) if text.strip() else {}
        if command == "call":
            show(await broker.call(name, params))
        else:
            await getattr(broker, command)(name, params)
    elif command == "nodes":
        print(broker.get_registry().to_json(), flush=True)
    elif command == "services":
        for service in broker.get_services():
            print(f"{service.full_name} ({service.node_id}): {', '.join(service.actions)}", flush=True)
    elif command:
        print(HELP, flush=True)
    return True


async def cli(broker: Broker) -> None:
    """Reads lines until `exit`, or the end of them."""
    wanted = True
    while wanted:
        try:
            wanted = await run(broker, await read("> "))
        except EOFError:
            return
        except json.JSONDecodeError as error:
            print(f"that is no JSON: {error}", flush=True)
        except MoleculerError as error:
            print(f"{error.name} {error.code}: {error.message}", flush=True)


async def main() -> None:
    """Serves, and reads what is to be done."""
    setup_logging()
    broker = Broker(os.environ.get("NODE_ID", "python-node-1"), redis_url=REDIS_URL)
    GreeterService(broker)
    async with broker:
        await cli(broker)


def setup_logging() -> None:
    """Colours, where colorlog is installed."""
    handler: logging.Handler = logging.StreamHandler()
    try:
        from colorlog import ColoredFormatter
    except ImportError:
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    else:
        handler.setFormatter(ColoredFormatter("%(log_color)s%(levelname)s%(reset)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


if __name__ == "__main__":
    asyncio.run(main())
