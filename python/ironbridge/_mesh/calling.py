"""Calls and events that Python sees: with middlewares, a strategy of the user's own, or options beyond the engine's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from . import handlers
from .errors import MaxCallLevelError, RequestSkippedError, of_engine
from .loadbalance import native_of
from .middle.fallback import respond
from .registry import versioned
from .schema import ActionSchema, action_of
from .streams import Peeked, flags

_schemas: dict[str, ActionSchema] = {}


async def call(broker: Any, action: str, params: Any, options: dict[str, Any]) -> Any:
    """Calls an action: chooses its endpoint, and runs its handler here, or the middlewares around a remote one."""
    parent = options.get("parent_ctx")
    ctx = options.pop("ctx", None)
    if ctx is None:
        ctx = context_of(broker, action, {} if params is None else params, options)
    _check(broker, ctx, action, parent, options)
    if (stream := options.get("stream")) is not None:
        options["stream"] = await _peeked(broker, ctx, stream)
    ctx.options = options
    try:
        return await _to_endpoint(broker, action, ctx)
    except Exception as error:
        if (
            ctx.endpoint_node is None
            and broker.error_handler is not None
            and ctx.options.get("fallback_response") is None
        ):
            return await broker.error_handler.unrouted(ctx, action, error)
        return await respond(ctx, error)
    finally:
        if parent is not None:
            parent.meta.update(ctx.meta)


async def again(broker: Any, ctx: Any) -> Any:
    """Sends a call again: its endpoint is chosen anew."""
    options = dict(ctx.options)
    options.pop("node_id", None)
    ctx.options = options
    return await _to_endpoint(broker, ctx.action.name, ctx)


async def _to_endpoint(broker: Any, action: str, ctx: Any) -> Any:
    node = broker._node
    node_id = ctx.options.get("node_id") or _chosen(broker, action)
    chosen = node.choose(action, node_id, ctx.params, ctx.meta)
    if chosen is None:
        return await node.invoke(ctx, action, ctx.options.get("timeout"), None, ctx.options.get("stream"))
    node_id, local, told = chosen
    ctx.endpoint_node = node_id
    if local:
        return await node.invoke(ctx, action, ctx.options.get("timeout"), node_id)
    ctx.action = _schema(told)
    return await remote_handler(broker, ctx.action)(ctx)


def remote_handler(broker: Any, schema: ActionSchema) -> Any:
    """What sends a call to the endpoint that was chosen, with its middlewares."""

    async def send(ctx: Any) -> Any:
        options = ctx.options
        return await broker._node.invoke(
            ctx, schema.name, options.get("timeout"), ctx.endpoint_node, options.get("stream")
        )

    return broker.middlewares.wrap("remote_action", send, schema)


def _schema(told: str) -> ActionSchema:
    """An action as its node tells of it, read once."""
    known = _schemas.get(told)
    if known is None:
        schema = json.loads(told)
        known = action_of(schema.get("name", ""), {key: value for key, value in schema.items() if key != "name"})
        if len(_schemas) > 10_000:
            _schemas.clear()
        _schemas[told] = known
    return known


def _chosen(broker: Any, action: str) -> str | None:
    """The node that the user's own strategy chooses."""
    if native_of(broker.strategy) is not None:
        return None
    found = broker._node.endpoints(action)
    if any(local for _, local, usable, _ in found if usable) and (
        broker.options.prefer_local or action.startswith("$")
    ):
        return None
    selected = broker.strategy.select_node(broker.get_registry(), action)
    if selected is None:
        raise of_engine("ServiceNotAvailableError" if found else "ServiceNotFoundError", action, None)
    return selected if isinstance(selected, str) else str(selected.id)


def context_of(broker: Any, action: str, params: Any, options: Mapping[str, Any]) -> Any:
    """The context of a call that is made here."""
    ctx = broker._node.context()
    if broker.options.uid_generator is not None:
        ctx.id = broker.generate_uid()
    parent = options.get("parent_ctx")
    ctx.params = params
    if parent is not None:
        ctx.meta = {**parent.meta, **(options.get("meta") or {})}
        ctx.level, ctx.request_id, ctx.parent_id = parent.level + 1, parent.request_id, parent.id
        ctx.tracing = parent.tracing
        service = parent.service
        ctx.caller = options.get("caller") or (service.full_name if service is not None else None)
        if parent.span is not None:
            ctx.parent_id = parent.span.id
    else:
        ctx.meta = dict(options.get("meta") or {})
        if options.get("request_id"):
            ctx.request_id = options["request_id"]
        if options.get("caller"):
            ctx.caller = options["caller"]
    if options.get("headers"):
        ctx.headers = dict(options["headers"])
    if options.get("tracing") is not None:
        ctx.tracing = options["tracing"]
    return ctx


def _check(broker: Any, ctx: Any, action: str, parent: Any, options: dict[str, Any]) -> None:
    most = broker.options.max_call_level
    if most and ctx.level > most:
        raise MaxCallLevelError.from_data({"nodeID": broker.node_id, "level": ctx.level})
    remaining = parent.remaining if parent is not None else None
    if remaining is not None:
        if remaining <= 0:
            raise RequestSkippedError.from_data({"action": action, "nodeID": broker.node_id})
        given = options.get("timeout")
        options["timeout"] = remaining if not given else min(given, remaining)


async def _peeked(broker: Any, ctx: Any, stream: Any) -> Any:
    peeked = await Peeked(stream).peek()
    if peeked.objects:
        target = ctx.headers if str(broker.options.protocol) == "5" else ctx.meta
        target.update(flags(True))
    return peeked


async def call_own(broker: Any, schema: ActionSchema, params: Any, options: dict[str, Any]) -> Any:
    """Calls an action of a service of this node, past the registry."""
    ctx = options.get("ctx") or context_of(broker, schema.name, {} if params is None else params, options)
    ctx.service, ctx.action, ctx.endpoint_node = schema.service, schema, broker.node_id
    ctx.options = options
    return await handlers.base(broker, schema)(ctx)


async def mcall(broker: Any, calls: Any, settled: bool, options: dict[str, Any]) -> Any:
    """Calls several actions at once."""
    names = list(calls) if isinstance(calls, Mapping) else None
    listed = [calls[name] for name in names] if names is not None else list(calls)

    async def one(told: Mapping[str, Any]) -> Any:
        own = {**options, **(told.get("options") or {})}
        return await broker.call(told["action"], told.get("params"), **own)

    if settled:
        outcomes = await asyncio.gather(*(one(told) for told in listed), return_exceptions=True)
        answers: list[Any] = [
            {"status": "rejected", "reason": outcome}
            if isinstance(outcome, BaseException)
            else {"status": "fulfilled", "value": outcome}
            for outcome in outcomes
        ]
    else:
        answers = list(await asyncio.gather(*(one(told) for told in listed)))
    return dict(zip(names, answers, strict=True)) if names is not None else answers


async def tell(broker: Any, event: str, data: Any, options: dict[str, Any], kind: str) -> None:
    """Tells of an event, and waits for the handlers that are here."""
    groups = options.pop("groups", None)
    groups = [groups] if isinstance(groups, str) else list(groups or ())
    ctx = context_of(broker, event, data, options)
    ctx.event_name, ctx.event_type, ctx.event_groups = event, kind, groups or None
    begun = []
    if event.startswith("$"):
        begun += [_heard(broker, event, one) for one in broker._bus.tell(event, data, broker.node_id)]
    local = kind == "broadcastLocal"
    for place, function, argument, is_coroutine in broker._node.emit(event, data, groups, kind != "emit", ctx, local):
        begun.append(_handled(broker, place, function, argument, is_coroutine))
    if len(begun) == 1:
        await begun[0]
    elif begun:
        await asyncio.gather(*begun)


async def _heard(broker: Any, event: str, begun: Any) -> None:
    try:
        await begun
    except Exception:
        broker.logger.exception("a listener of %s has failed", event)


async def _handled(broker: Any, place: str, function: Any, argument: Any, is_coroutine: bool) -> None:
    try:
        if is_coroutine:
            await function(argument)
        else:
            await asyncio.to_thread(function, argument)
    except Exception as error:
        broker._on_failed(error, place)


def wanted(names: Any) -> list[list[str]]:
    """Full names of services to wait for: of each list, one will do."""
    listed = names if isinstance(names, list | tuple) else [names]
    found: list[list[str]] = []
    for one in listed:
        if isinstance(one, str):
            found.append([one])
        else:
            versions = one.get("version")
            versions = versions if isinstance(versions, list | tuple) else [versions]
            found.append([versioned(one["name"], version) for version in versions])
    return found


def node_told(broker: Any, node_id: str) -> dict[str, Any]:
    """What is told of a node with the events about it."""
    for node in json.loads(broker._node.nodes(False)):
        if node["id"] == node_id:
            told: dict[str, Any] = node
            return told
    return {"id": node_id, "available": False}
