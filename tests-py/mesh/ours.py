"""Our own node as tests of the meeting with Moleculer.js have it: services of the same kinds as the peers' presets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ironbridge.mesh import (
    Broker,
    Context,
    MoleculerClientError,
    MoleculerError,
    MoleculerRetryableError,
    MoleculerServerError,
    ServiceNotFoundError,
    ValidationError,
)

from mesh.meeting import Meeting
from mesh.peers import Protocol


def ours(meeting: Meeting, protocol: Protocol, node_id: str = "ours", **options: Any) -> Broker:
    """A broker of ours at a meeting, with all services; it is not started."""
    services = options.pop("services", None)
    options.setdefault("namespace", meeting.namespace)
    broker = Broker(node_id, transporter=meeting.url, protocol=protocol, **options)
    heard: list[dict[str, Any]] = []
    broker.heard = heard  # type: ignore[attr-defined]
    made = {
        "py-math": _math,
        "py-values": _values,
        "py-errors": _errors,
        "py-chain": _chain,
        "py-slow": _slow,
        "py-streams": _streams,
        "py-events": lambda: _events(heard),
        "py-guarded": _guarded,
    }
    for name in made if services is None else services:
        for schema in made[name]():
            broker.create_service(schema)
    return broker


def _math() -> list[Mapping[str, Any]]:
    def add(ctx: Context) -> Any:
        return float(ctx.params["a"]) + float(ctx.params["b"])

    return [
        {"name": "py-math", "actions": {"add": add}},
        {
            "name": "py-math",
            "version": 2,
            "settings": {"prec": 2, "token": "t", "$secureSettings": ["token"]},
            "metadata": {"scalable": True},
            "actions": {"add": {"handler": add, "timeout": 5000, "rest": "GET /add", "cache": {"keys": ["a", "b"]}}},
        },
        {"name": "py-math", "version": "staging", "actions": {"add": lambda ctx: f"staging {add(ctx):g}"}},
        {
            "name": "py-bare",
            "version": 3,
            "settings": {"$noVersionPrefix": True},
            "actions": {"who": lambda ctx: "ours"},
        },
    ]


DAY = datetime(2024, 2, 29, 12, 30, 15, 250_000, tzinfo=UTC)
VALUES: dict[str, Any] = {
    "none": None,
    "true": True,
    "false": False,
    "zero": 0,
    "float": 0.1,
    "big": 2**53 - 1,
    "empty": "",
    "text": "Olá, mundo! 日本 🚀 \u0000 \u2028",
    "list": [1, None, "x"],
    "object": {"a": 1, "none": None, "deep": {"b": [{}]}},
}


def _always(value: Any) -> Callable[[Context], Any]:
    return lambda ctx: value


def _values() -> list[Mapping[str, Any]]:
    odd = {"date": DAY, "bytes": bytes([0, 1, 127, 128, 255]), "nan": float("nan"), "set": {1}}
    actions: dict[str, Any] = {name: _always(value) for name, value in {**VALUES, **odd}.items()}
    actions["echo"] = lambda ctx: ctx.params
    actions["kind"] = lambda ctx: type(ctx.params).__name__
    return [{"name": "py-values", "actions": actions}]


class OwnError(MoleculerClientError):
    """One that no other node knows."""


def _errors() -> list[Mapping[str, Any]]:
    data = {"field": "a", "list": [1, {"b": None}]}
    kinds = {
        "MoleculerError": lambda: MoleculerError("It broke", 501, "BROKE", data),
        "MoleculerRetryableError": lambda: MoleculerRetryableError("Try again", 503, "AGAIN", data),
        "MoleculerServerError": lambda: MoleculerServerError("Server is ill", 502, "ILL", data),
        "MoleculerClientError": lambda: MoleculerClientError("Bad thing", 422, "BAD_THING", data),
        "ServiceNotFoundError": lambda: ServiceNotFoundError.from_data({"action": "no.such", "nodeID": "far"}),
        "ValidationError": lambda: ValidationError("Wrong", "WRONG", [{"type": "required", "field": "a"}]),
        "OwnError": lambda: OwnError("I am a teapot", 418, "TEAPOT", data),
        "KeyError": lambda: KeyError("gone"),
    }

    async def raises(ctx: Context) -> None:
        ctx.meta.update(ctx.params.get("meta") or {})
        raise kinds[ctx.params["kind"]]()

    return [{"name": "py-errors", "actions": {"raise": raises}}]


def context(ctx: Context) -> dict[str, Any]:
    """What a context carries, in the peers' words."""
    return {
        "id": ctx.id,
        "requestID": ctx.request_id,
        "parentID": ctx.parent_id,
        "level": ctx.level,
        "caller": ctx.caller,
        "sender": ctx.node_id,
        "timeout": ctx.timeout,
        "tracing": ctx.tracing,
        "meta": dict(ctx.meta),
    }


def _chain() -> list[Mapping[str, Any]]:
    async def relay(ctx: Context) -> list[Any]:
        path = ctx.params.get("path") or []
        mine = context(ctx)
        if not path:
            return [mine]
        first = path[0] if isinstance(path[0], dict) else {"action": path[0]}
        options = {key: value for key, value in first.items() if key != "action"}
        further: list[Any] = await ctx.call(first["action"], {"path": path[1:]}, **options)
        return [mine, *further]

    async def sets(ctx: Context) -> dict[str, Any]:
        had = dict(ctx.meta)
        ctx.meta.update(ctx.params)
        return had

    async def after(ctx: Context) -> dict[str, Any]:
        result = error = None
        try:
            result = await ctx.call(ctx.params["action"], ctx.params.get("params"))
        except MoleculerError as failure:
            error = {"name": failure.name, "message": failure.message, "nodeID": failure.node_id}
        return {"result": result, "error": error, "meta": dict(ctx.meta)}

    return [{"name": "py-chain", "actions": {"relay": relay, "sets": sets, "after": after, "context": context}}]


def _slow() -> list[Mapping[str, Any]]:
    async def wait(ctx: Context) -> str:
        await asyncio.sleep(ctx.params["ms"] / 1000)
        return "ours"

    return [{"name": "py-slow", "actions": {"wait": wait}}]


def _streams() -> list[Mapping[str, Any]]:
    async def down(ctx: Context) -> AsyncIterator[Any]:
        async def parts() -> AsyncIterator[Any]:
            for part in ctx.params["parts"]:
                if part == "fail":
                    raise MoleculerClientError("it broke off", 422, "BROKEN")
                yield part.encode() if isinstance(part, str) else part
            left = ctx.params.get("size", 0)
            while left:
                size = min(left, 100_000)
                yield bytes(size)
                left -= size

        return parts()

    async def up(ctx: Any) -> dict[str, Any]:
        stream = ctx.params if hasattr(ctx.params, "__aiter__") else ctx.stream
        parts = [part async for part in stream]
        size = sum(len(part) for part in parts if isinstance(part, bytes))
        return {"count": len(parts), "bytes": size, "objects": [part for part in parts if not isinstance(part, bytes)]}

    return [{"name": "py-streams", "actions": {"down": down, "up": up}}]


def _events(heard: list[dict[str, Any]]) -> list[Mapping[str, Any]]:
    def hears(service: str, group: str | None = None) -> dict[str, Any]:
        def listen(ctx: Context) -> None:
            heard.append(
                {
                    "name": ctx.event_name,
                    "type": ctx.event_type,
                    "service": service,
                    "params": ctx.params,
                    "meta": dict(ctx.meta),
                    "groups": ctx.event_groups,
                    "sender": ctx.node_id,
                    "caller": ctx.caller,
                    "level": ctx.level,
                    "requestID": ctx.request_id,
                }
            )

        return {"handler": listen, **({"group": group} if group else {})}

    return [
        {"name": "py-mail", "events": {"user.*": hears("py-mail"), "order.**": hears("py-mail", "py-billing")}},
        {"name": "py-audit", "version": 2, "events": {"user.created": hears("py-audit")}},
    ]


def _guarded() -> list[Mapping[str, Any]]:
    async def inside(ctx: Context) -> list[str]:
        return [await ctx.call("py-guarded.protected"), await ctx.service.actions.private()]

    return [
        {
            "name": "py-guarded",
            "actions": {
                "public": {"visibility": "public", "handler": lambda ctx: "public"},
                "protected": {"visibility": "protected", "handler": lambda ctx: "protected"},
                "private": {"visibility": "private", "handler": lambda ctx: "private"},
                "inside": inside,
            },
        }
    ]
