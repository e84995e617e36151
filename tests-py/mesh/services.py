"""Services of ours that do what the peers' do (`js/services/`), for what `ours.py` has not: written as schemas."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from ironbridge.mesh import (
    BrokerDisconnectedError,
    BrokerOptionsError,
    Context,
    GracefulStopTimeoutError,
    InvalidPacketDataError,
    MaxCallLevelError,
    MoleculerClientError,
    MoleculerError,
    MoleculerRetryableError,
    MoleculerServerError,
    ProtocolVersionMismatchError,
    QueueIsFullError,
    RequestRejectedError,
    RequestSkippedError,
    RequestTimeoutError,
    ServiceNotAvailableError,
    ServiceNotFoundError,
    ServiceSchemaError,
    ValidationError,
)

from mesh.ours import context

Schema = Mapping[str, Any]
DATA: dict[str, Any] = {"field": "a", "list": [1, {"b": None}]}


class OwnError(MoleculerClientError):
    """One that no other node knows."""


def errors(node_id: str) -> Schema:
    """`py-failing.raise`: every error that the peers' `errors.raise` knows, with the same fields."""
    where = {"action": "errors.raise", "nodeID": node_id}
    kinds: dict[str, Callable[[], Exception]] = {
        "MoleculerError": lambda: MoleculerError("It broke", 501, "BROKE", DATA),
        "bare": lambda: MoleculerError("It broke"),
        "MoleculerRetryableError": lambda: MoleculerRetryableError("Try again", 503, "AGAIN", DATA),
        "MoleculerServerError": lambda: MoleculerServerError("Server is ill", 502, "ILL", DATA),
        "MoleculerClientError": lambda: MoleculerClientError("Bad thing", 422, "BAD_THING", DATA),
        "ServiceNotFoundError": lambda: ServiceNotFoundError.from_data({"action": "no.such", "nodeID": "far"}),
        "ServiceNotAvailableError": lambda: ServiceNotAvailableError.from_data({"action": "no.more", "nodeID": "far"}),
        "ValidationError": lambda: ValidationError("Wrong", "WRONG", [{"type": "required", "field": "a"}]),
        "RequestTimeoutError": lambda: RequestTimeoutError.from_data(where),
        "RequestSkippedError": lambda: RequestSkippedError.from_data(where),
        "RequestRejectedError": lambda: RequestRejectedError.from_data(where),
        "QueueIsFullError": lambda: QueueIsFullError.from_data({**where, "size": 100, "limit": 100}),
        "MaxCallLevelError": lambda: MaxCallLevelError.from_data({"nodeID": node_id, "level": 10}),
        "BrokerDisconnectedError": BrokerDisconnectedError,
        "ServiceSchemaError": lambda: ServiceSchemaError("No name", data={"a": 1}),
        "BrokerOptionsError": lambda: BrokerOptionsError("Bad option", data={"a": 1}),
        "GracefulStopTimeoutError": lambda: GracefulStopTimeoutError(
            "Unable to stop 's' service gracefully.", data={"name": "s", "version": 1}
        ),
        "ProtocolVersionMismatchError": lambda: ProtocolVersionMismatchError(
            "Protocol version mismatch.", data={"nodeID": "far", "actual": "4", "received": "5"}
        ),
        "InvalidPacketDataError": lambda: InvalidPacketDataError("Invalid packet data.", data={"a": 1}),
        "OwnError": lambda: OwnError("I am a teapot", 418, "TEAPOT", DATA),
        "TypeError": lambda: TypeError("x is not a function"),
    }

    async def raises(ctx: Context) -> None:
        ctx.meta.update(ctx.params.get("meta") or {})
        raise kinds[ctx.params["kind"]]()

    async def odd(ctx: Context) -> None:
        raise MoleculerError("with what cannot cross", 500, "ODD", {"a": object()})

    rules = {"id": "number|positive", "name": {"type": "string", "min": 2}}
    return {
        "name": "py-failing",
        "actions": {"raise": raises, "odd": odd, "ruled": {"params": rules, "handler": lambda ctx: ctx.params}},
    }


def lab() -> Schema:
    """`v2.py-lab`: what calls others, late, by headers, or many at once."""

    async def late(ctx: Context) -> Any:
        await asyncio.sleep(ctx.params["ms"] / 1000)
        return await ctx.call(ctx.params["action"], ctx.params.get("params"), **ctx.params.get("options", {}))

    async def many(ctx: Context) -> Any:
        return await ctx.mcall(ctx.params["calls"], **ctx.params.get("options", {}))

    async def emits(ctx: Context) -> dict[str, Any]:
        tell = ctx.broadcast if ctx.params.get("how") == "broadcast" else ctx.emit
        await tell(ctx.params["name"], ctx.params.get("params"))
        return context(ctx)

    async def patient(ctx: Context) -> str:
        await asyncio.sleep(ctx.params["ms"] / 1000)
        return "done"

    def got(ctx: Context) -> dict[str, Any]:
        return {"kind": type(ctx.params).__name__, "params": ctx.params, "headers": dict(ctx.headers)}

    return {
        "name": "py-lab",
        "version": 2,
        "actions": {
            "late": late,
            "many": many,
            "emits": emits,
            "got": got,
            "who": lambda ctx: ctx.broker.node_id,
            "patient": {"timeout": 200, "handler": patient},
        },
    }


def listeners(heard: list[dict[str, Any]]) -> list[Schema]:
    """Who listens as the peers' `events` do, under the same names: so that both are in the same groups."""

    def hears(pattern: str, service: str, group: str | None = None) -> dict[str, Any]:
        def listen(ctx: Context) -> None:
            heard.append(
                {
                    "name": ctx.event_name,
                    "handler": pattern,
                    "service": service,
                    "group": group or service,
                    "type": ctx.event_type,
                    "groups": ctx.event_groups,
                    "params": ctx.params,
                    "meta": dict(ctx.meta),
                    "headers": dict(ctx.headers),
                    "sender": ctx.node_id,
                    "caller": ctx.caller,
                    "level": ctx.level,
                    "requestID": ctx.request_id,
                    "parentID": ctx.parent_id,
                }
            )

        return {"handler": listen, **({"group": group} if group else {})}

    def service(name: str, events: Iterable[tuple[str, str | None]], **more: Any) -> Schema:
        return {"name": name, "events": {pattern: hears(pattern, name, group) for pattern, group in events}, **more}

    return [
        service("mail", [("user.created", None), ("user.*", None), ("order.?", None)]),
        service("stock", [("user.created", None), ("order.**", "billing")]),
        service("audit", [("user.created", "billing"), ("audit.**", None)], version=2),
        service("py-only", [("only.**", None), ("$node.*", None)]),
    ]


def pattern(start: int, end: int) -> bytes:
    """The bytes of which the peers' streams of a size consist."""
    return bytes(at % 251 for at in range(start, end))


class Broken(Exception):
    """A stream's source has failed."""


async def source(wanted: Mapping[str, Any]) -> AsyncIterator[Any]:
    """`chunks` one by one, or `size` bytes in chunks of `chunk`; then the end, or a failure."""
    for chunk in wanted.get("chunks", ()):
        yield chunk
    size, step = wanted.get("size", 0), wanted.get("chunk", 65536)
    for at in range(0, size, step):
        yield pattern(at, min(at + step, size))
    if "fails" in wanted:
        # One that comes together with the beginning finds nobody at a peer who listens yet.
        await asyncio.sleep(0.05)
        raise Broken(wanted["fails"])


async def collect(stream: AsyncIterator[Any]) -> dict[str, Any]:
    """All of a stream, or its digest."""
    chunks: list[Any] = []
    error: Exception | None = None
    try:
        async for chunk in stream:
            chunks.append(chunk)
    except Exception as failure:
        error = failure
    whole = b"".join(chunk for chunk in chunks if isinstance(chunk, bytes))
    kept = chunks if len(whole) <= 65536 else []
    return {
        "count": len(chunks),
        "bytes": len(whole),
        "sha256": hashlib.sha256(whole).hexdigest(),
        "whole": whole.decode(errors="replace") if kept else "",
        "objects": [chunk for chunk in kept if not isinstance(chunk, bytes)],
        "error": None if error is None else str(error),
    }


def flows() -> Schema:
    """`py-flows`: streams down, up and both ways."""

    def given(ctx: Any) -> Any:
        """In protocol 4, a stream takes the place of the parameters."""
        return ctx.params if hasattr(ctx.params, "__aiter__") else ctx.stream

    async def down(ctx: Context) -> AsyncIterator[Any]:
        return source(ctx.params)

    async def up(ctx: Context) -> dict[str, Any]:
        told = await collect(given(ctx))
        told["params"] = None if hasattr(ctx.params, "__aiter__") else ctx.params
        return {**told, "meta": dict(ctx.meta)}

    async def upper(ctx: Context) -> AsyncIterator[bytes]:
        async def parts() -> AsyncIterator[bytes]:
            async for part in given(ctx):
                yield part.upper()

        return parts()

    async def echo(ctx: Context) -> AsyncIterator[Any]:
        stream: AsyncIterator[Any] = given(ctx)
        return stream

    return {"name": "py-flows", "actions": {"down": down, "up": up, "upper": upper, "echo": echo}}
