"""The service `$node`: what a node tells of itself and of what it knows."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from typing import Any

from .service import Service

_FLAGS = (
    "onlyAvailable",
    "onlyLocal",
    "skipInternal",
    "withActions",
    "withEvents",
    "withServices",
    "withEndpoints",
    "grouping",
)
_OPTIONAL = {"type": "boolean", "optional": True, "convert": True, "default": False}


def _rules(*names: str) -> dict[str, Any]:
    return {name: dict(_OPTIONAL) for name in names}


class NodeService(Service):
    """`$node.list`, `.services`, `.actions`, `.events`, `.health`, `.options`, `.metrics`."""

    def __init__(self, broker: Any) -> None:
        def action(handler: Any, *names: str) -> dict[str, Any]:
            return {"cache": False, "tracing": False, "params": _rules(*names), "handler": handler}

        super().__init__(
            broker,
            schema={
                "name": "$node",
                "actions": {
                    "list": action(self._list, "withServices", "onlyAvailable"),
                    "services": action(self._services, *_FLAGS),
                    "actions": action(self._actions, "onlyLocal", "skipInternal", "withEndpoints", "onlyAvailable"),
                    "events": action(self._events, "onlyLocal", "skipInternal", "withEndpoints", "onlyAvailable"),
                    "health": action(self._health),
                    "options": action(self._options),
                    "metrics": action(self._metrics),
                },
            },
        )

    @property
    def by_schema(self) -> bool:
        return True

    async def _list(self, ctx: Any) -> list[dict[str, Any]]:
        wanted = ctx.params or {}
        nodes = json.loads(self.broker._node.nodes(bool(wanted.get("withServices"))))
        return [node for node in nodes if node["available"] or not wanted.get("onlyAvailable")]

    async def _services(self, ctx: Any) -> list[dict[str, Any]]:
        wanted = ctx.params or {}
        found: dict[str, dict[str, Any]] = {}
        for node in json.loads(self.broker._node.nodes(True)):
            if (wanted.get("onlyAvailable") and not node["available"]) or (
                wanted.get("onlyLocal") and not node["local"]
            ):
                continue
            for service in node["services"]:
                name = service.get("fullName") or service["name"]
                if wanted.get("skipInternal") and name.startswith("$"):
                    continue
                known = found.setdefault(
                    name, {key: service.get(key) for key in ("name", "fullName", "settings", "metadata")}
                )
                if service.get("version") is not None:
                    known["version"] = service["version"]
                known["available"] = known.get("available", False) or node["available"]
                known["hasLocal"] = known.get("hasLocal", False) or node["local"]
                known.setdefault("nodes", []).append(node["id"])
                if wanted.get("withActions"):
                    known["actions"] = service.get("actions")
                if wanted.get("withEvents"):
                    known["events"] = service.get("events")
        return list(found.values())

    async def _actions(self, ctx: Any) -> list[dict[str, Any]]:
        return self._filtered(json.loads(self.broker._node.actions()), ctx.params or {})

    async def _events(self, ctx: Any) -> list[dict[str, Any]]:
        return self._filtered(json.loads(self.broker._node.events()), ctx.params or {})

    def _filtered(self, told: list[dict[str, Any]], wanted: dict[str, Any]) -> list[dict[str, Any]]:
        kept = []
        for one in told:
            if wanted.get("skipInternal") and one["name"].startswith("$"):
                continue
            if (wanted.get("onlyLocal") and not one["hasLocal"]) or (wanted.get("onlyAvailable") and not one["count"]):
                continue
            if not wanted.get("withEndpoints"):
                one.pop("endpoints", None)
            kept.append(one)
        return kept

    async def _health(self, ctx: Any) -> dict[str, Any]:
        load = os.getloadavg()
        page = os.sysconf("SC_PAGE_SIZE")
        total, free = os.sysconf("SC_PHYS_PAGES") * page, os.sysconf("SC_AVPHYS_PAGES") * page
        now = time.time()
        return {
            "cpu": {"load1": load[0], "load5": load[1], "load15": load[2], "cores": os.cpu_count()},
            "mem": {"free": free, "total": total, "percent": free * 100 / total},
            "os": {
                "type": platform.system(),
                "release": platform.release(),
                "hostname": platform.node(),
                "arch": platform.machine(),
            },
            "process": {"pid": os.getpid(), "uptime": self.broker.uptime, "argv": sys.argv},
            "client": {"type": "python", "version": _version(), "langVersion": platform.python_version()},
            "net": {"ip": self.broker.get_registry().nodes[self.broker.node_id].ip_list},
            "time": {
                "now": int(now * 1000),
                "iso": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
                "utc": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now)),
            },
        }

    async def _options(self, ctx: Any) -> dict[str, Any]:
        options = self.broker.options
        told = {name: getattr(options, name) for name in type(options).__slots__}
        plain = (bool, int, float, str, type(None))
        shown = {name: value for name, value in told.items() if isinstance(value, plain)}
        # It may hold a password.
        return {**shown, "transporter": self.broker._node.place}

    async def _metrics(self, ctx: Any) -> list[dict[str, Any]]:
        metrics = self.broker.metrics
        return list(metrics.list()) if metrics is not None else []


def _version() -> str:
    from .options import VERSION

    return VERSION
