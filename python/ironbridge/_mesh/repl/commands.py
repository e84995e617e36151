"""The commands: what each does with a broker."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ...errors import IronbridgeError
from ..running.loaded import MASK, Loaded
from ..schema import snake
from .words import Line, WrongLine

Show = Callable[[str], None]
Table = Callable[[list[str], list[list[Any]]], None]

HELP = """\
nodes, services, actions, events    what is known of the mesh
info, env, metrics                  of this node
call ACTION [JSON | --key value …] [#meta value]
dcall NODE ACTION [JSON | …]        at one node
emit EVENT [JSON | …]               one service of each group hears it
broadcast EVENT [JSON | …]          all hear it
ping [NODE]
bench ACTION [JSON] [--time 5 | --num 1000]
listener add|remove|list [EVENT]    shows events as they come
cache keys|clear [PATTERN]
load FILE.py|MODULE[:SERVICE]       serves it; once more: as it is now
loadFolder FOLDER [MASK]
destroy SERVICE
clear, help, exit"""
NAMES = (
    *("nodes", "services", "actions", "events", "info", "env", "metrics", "call", "dcall", "emit", "broadcast"),
    *("ping", "bench", "listener", "cache", "load", "loadFolder", "destroy", "clear", "help", "exit", "quit"),
)


class Commands:
    """Runs lines.

    Args:
        broker: at whose node.
        show: prints a text.
        table: prints rows under headings.
        loaded: the services of files that it has already.
    """

    def __init__(self, broker: Any, show: Show, table: Table, loaded: Loaded | None = None) -> None:
        self._broker, self._show, self._table = broker, show, table
        self._loaded = loaded if loaded is not None else Loaded(broker)
        self._listening: dict[str, Any] = {}

    async def run(self, line: Line) -> bool:
        """Does what a line says; whether more are wanted.

        Raises:
            WrongLine: there is no such command, or it lacks something.
        """
        if line.command in ("exit", "quit", "q"):
            return False
        if not line.command:
            return True
        run: Callable[[Line], Awaitable[None]] | None = getattr(self, f"_{snake(line.command)}", None)
        if line.command not in NAMES or run is None:
            raise WrongLine(f"there is no command {line.command!r}; `help` lists them")
        await run(line)
        return True

    def names(self) -> list[str]:
        """What can be completed: commands, actions, events and nodes."""
        registry = self._broker.get_registry()
        services = registry.services()
        found = [*NAMES, *registry.nodes]
        found += [name for service in services for name in (*service.actions, *service.events)]
        return sorted(set(found))

    def _word(self, line: Line, index: int, what: str) -> str:
        if len(line.words) <= index:
            raise WrongLine(f"{line.command}: say which {what}")
        return line.words[index]

    def _json(self, value: Any) -> None:
        self._show(json.dumps(value, indent=2, ensure_ascii=False, default=str))

    async def _nodes(self, line: Line) -> None:
        rows = [
            [
                f"{node.id}{' (this)' if node.local else ''}",
                len(node.services),
                node.client.get("version", ""),
                node.client.get("type", ""),
                ", ".join(node.ip_list[:2]),
                "online" if node.available else "offline",
                "" if node.cpu is None else f"{node.cpu:.0f} %",
            ]
            for node in self._broker.get_registry().nodes.values()
        ]
        self._table(["NODE", "SERVICES", "VERSION", "CLIENT", "IP", "STATE", "CPU"], sorted(rows))

    async def _services(self, line: Line) -> None:
        found: dict[str, list[Any]] = {}
        for service in self._broker.get_services():
            row = found.setdefault(service.full_name, [service.full_name, service.version, 0, 0, []])
            row[2], row[3] = len(service.actions), len(service.events)
            row[4].append(service.node_id)
        rows = [
            [name, version or "", actions, events, ", ".join(nodes)]
            for name, version, actions, events, nodes in found.values()
        ]
        self._table(["SERVICE", "VERSION", "ACTIONS", "EVENTS", "NODES"], sorted(rows))

    async def _actions(self, line: Line) -> None:
        await self._members("actions", "ACTION")

    async def _events(self, line: Line) -> None:
        await self._members("events", "EVENT")

    async def _members(self, kind: str, title: str) -> None:
        found: dict[str, set[str]] = {}
        for service in self._broker.get_services():
            for name in getattr(service, kind):
                found.setdefault(name, set()).add(service.node_id)
        self._table([title, "NODES"], [[name, ", ".join(sorted(nodes))] for name, nodes in sorted(found.items())])

    async def _info(self, line: Line) -> None:
        self._json(
            {
                "nodeID": self._broker.node_id,
                "instanceID": self._broker.instance_id,
                "namespace": self._broker.namespace,
                "transporter": self._broker._node.place,
                "connected": self._broker.connected,
                "protocol": self._broker.options.protocol,
                "uptime": round(self._broker.uptime, 1),
                "python": platform.python_version(),
                "counted": self._broker.stats(),
            }
        )

    async def _env(self, line: Line) -> None:
        self._json(dict(sorted(os.environ.items())))

    async def _metrics(self, line: Line) -> None:
        if self._broker.metrics is None:
            raise WrongLine("metrics are off: start with --metrics")
        self._json(self._broker.metrics.list())

    async def _call(self, line: Line) -> None:
        await self._called(line, self._word(line, 0, "action"), 1, None)

    async def _dcall(self, line: Line) -> None:
        await self._called(line, self._word(line, 1, "action"), 2, self._word(line, 0, "node"))

    async def _called(self, line: Line, action: str, at: int, node: str | None) -> None:
        began = time.perf_counter()
        answer = await self._broker.call(action, line.params(at), meta=line.meta or None, node_id=node)
        if hasattr(answer, "__aiter__"):
            answer = [part async for part in answer]
        self._json(answer)
        self._show(f"({(time.perf_counter() - began) * 1000:.1f} ms)")

    async def _emit(self, line: Line) -> None:
        await self._broker.emit(self._word(line, 0, "event"), line.params(1), meta=line.meta or None)

    async def _broadcast(self, line: Line) -> None:
        await self._broker.broadcast(self._word(line, 0, "event"), line.params(1), meta=line.meta or None)

    async def _ping(self, line: Line) -> None:
        self._json(await self._broker.ping(line.words[0] if line.words else None))

    async def _bench(self, line: Line) -> None:
        action = self._word(line, 0, "action")
        seconds, number = float(line.options.pop("time", 5)), line.options.pop("num", None)
        params, times = line.params(1), list[float]()
        end = time.perf_counter() + seconds
        while len(times) < int(number) if number is not None else time.perf_counter() < end:
            began = time.perf_counter()
            await self._broker.call(action, params)
            times.append(time.perf_counter() - began)
        whole = sum(times)
        rate, mean = (len(times) / whole, whole / len(times)) if times else (0, 0)
        told = f"{len(times):,} calls, {rate:,.0f} a second; "
        least, most = (min(times), max(times)) if times else (0, 0)
        self._show(f"{told}mean {mean * 1000:.3f} ms, least {least * 1000:.3f}, most {most * 1000:.3f}")

    async def _listener(self, line: Line) -> None:
        what = self._word(line, 0, "of add, remove and list")
        if what == "list":
            self._table(["EVENT"], [[name] for name in sorted(self._listening)])
            return
        event = self._word(line, 1, "event")
        if what == "remove" and event in self._listening:
            await self._broker.destroy_service(self._listening.pop(event))
        elif what == "add" and event not in self._listening:
            name = f"$listener-{len(self._listening)}-{event.replace('*', '_')}"
            schema = {"name": name, "events": {event: {"handler": self._hears, "group": name}}}
            self._listening[event] = self._broker.create_service(schema)

    async def _hears(self, ctx: Any) -> None:
        self._show(f"{ctx.event_name} from {ctx.node_id}: {json.dumps(ctx.params, ensure_ascii=False, default=str)}")

    async def _cache(self, line: Line) -> None:
        if self._broker.cacher is None:
            raise WrongLine("there is no cacher: start with --cacher")
        if self._word(line, 0, "of keys and clear") == "keys":
            self._json(await self._broker.cacher.get_cache_keys())
        else:
            await self._broker.cacher.clean(line.words[1] if len(line.words) > 1 else "**")

    async def _load(self, line: Line) -> None:
        await self._loads(self._loaded.load(self._word(line, 0, "file or module")))

    async def _load_folder(self, line: Line) -> None:
        mask = line.words[1] if len(line.words) > 1 else MASK
        await self._loads(self._loaded.load_folder(self._word(line, 0, "folder"), mask))

    async def _loads(self, loading: Awaitable[list[Any]]) -> None:
        try:
            made = await loading
        except IronbridgeError:
            raise
        except Exception as error:  # of the user's own code
            raise WrongLine(f"it cannot be loaded: {type(error).__name__}: {error}") from error
        self._show(f"loaded: {', '.join(service.full_name for service in made)}")

    async def _destroy(self, line: Line) -> None:
        await self._broker.destroy_service(self._word(line, 0, "service"))

    async def _clear(self, line: Line) -> None:
        self._show("\x1b[2J\x1b[H")

    async def _help(self, line: Line) -> None:
        self._show(HELP)
        await asyncio.sleep(0)
