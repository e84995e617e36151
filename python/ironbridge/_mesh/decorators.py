"""What makes a method of a service an action, or a listener."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

ACTION = "__ironbridge_action__"
EVENT = "__ironbridge_event__"
CHANNEL = "__ironbridge_channel__"


def action(name: str | None = None, cache: Any = False, params: Any = None, **schema: Any) -> Callable[[F], F]:
    """Makes a method an action.

    Args:
        name: its name within the service; the method's unless given.
        cache: whether its answers are cached: `True`, or `{"keys": [...], "ttl": seconds}`.
        params: the rules for its parameters: fastest-validator's, a pydantic model, or a dataclass.
        schema: anything else of an action's schema, in our names or Moleculer's: `timeout` (ms), `visibility`,
            `retry_policy`, `circuit_breaker`, `bulkhead`, `fallback`, `hooks`, `strategy`, `tracing`, `rest` …
    """
    if callable(name):
        # `@action` without parentheses.
        return action()(name)

    def mark(function: F) -> F:
        told: dict[str, Any] = {"name": name or function.__name__, **schema}
        if cache:
            told["cache"] = cache
        if params is not None:
            told["params"] = params
        setattr(function, ACTION, told)
        return function

    return mark


def event(name: str | None = None, group: str | None = None, **schema: Any) -> Callable[[F], F]:
    """Makes a method a listener.

    Args:
        name: the event, or a pattern (`*` one part of a name, `**` any number, `?` one character); the method's name
            unless given.
        group: of a group, one service gets each event; the service's name unless given.
        schema: anything else of an event's schema: `params`, `debounce` and `throttle` (ms), `bulkhead`, `strategy` …
    """
    if callable(name):
        return event()(name)

    def mark(function: F) -> F:
        told: Mapping[str, Any] = {"name": name or function.__name__, **({"group": group} if group else {}), **schema}
        setattr(function, EVENT, dict(told))
        return function

    return mark


def channel(name: str | None = None, group: str | None = None, **schema: Any) -> Callable[[F], F]:
    """Makes a method a listener of a channel: of durable events, which are kept until one of each group has handled
    them.

    Args:
        name: the channel's; the method's unless given.
        group: of a group, one service gets each message; the service's full name unless given.
        schema: anything else of a channel's schema: `max_in_flight`, `max_retries`, `retry_delay` (ms),
            `dead_lettering`, `redis`, `nats`, `tracing`.
    """
    if callable(name):
        return channel()(name)

    def mark(function: F) -> F:
        told: dict[str, Any] = {"name": name or function.__name__, **schema}
        if group is not None:
            told["group"] = group
        setattr(function, CHANNEL, told)
        return function

    return mark
