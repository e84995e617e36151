"""What the engine calls for each action and event: the method itself, or the middlewares around it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from .schema import ActionSchema, EventSchema
from .service import BaseService

Handler = Callable[[Any], Awaitable[Any]]
Given = tuple[str, Any, bool, bool, Any, Any, str]


def of(broker: Any, services: Sequence[BaseService]) -> tuple[list[Given], list[Given]]:
    """All handlers of the services: of their actions, and of their events."""
    actions = [_given(broker, one, "local_action") for service in services for one in service.action_schemas]
    events = [_given(broker, one, "local_event") for service in services for one in service.event_schemas]
    return actions, events


def _given(broker: Any, schema: ActionSchema | EventSchema, kind: str) -> Given:
    service = schema.service
    base = _as_handler(schema)
    wrapped = broker.middlewares.wrap(kind, base, schema)
    if wrapped is base:
        # Nobody stands between: the method itself is called, with no frame of ours.
        function, takes, is_coroutine = schema.handler, schema.takes_context, _is_coroutine(schema.handler)
        return (schema.name, function, takes, is_coroutine, schema, service, service.full_name)
    return (schema.name, wrapped, True, True, schema, service, service.full_name)


def _as_handler(schema: ActionSchema | EventSchema) -> Handler:
    function, takes = schema.handler, schema.takes_context
    if _is_coroutine(function):
        if takes:
            handler: Handler = function
            return handler

        async def with_params(ctx: Any) -> Any:
            return await function(ctx.params)

        return with_params

    async def on_a_thread(ctx: Any) -> Any:
        value = await asyncio.to_thread(function, ctx if takes else ctx.params)
        return await value if hasattr(value, "__await__") else value

    return on_a_thread


def base(broker: Any, schema: ActionSchema) -> Handler:
    """The handler of an action with its middlewares, past the registry."""
    wrapped: Handler = broker.middlewares.wrap("local_action", _as_handler(schema), schema)
    return wrapped


def _is_coroutine(function: Any) -> bool:
    """Whether calling it blocks nothing: it is `async def`, or gives a stream."""
    while hasattr(function, "func"):
        function = function.func
    call = getattr(function, "__call__", None)
    return (
        inspect.iscoroutinefunction(function)
        or inspect.isasyncgenfunction(function)
        or inspect.iscoroutinefunction(call)
    )
