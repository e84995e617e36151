"""What a service says of its actions and events, in Moleculer's words and ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from .validation.models import ModelCheck

# Of an action's or event's schema, what other nodes are told: all but these.
_KEPT_HERE = {"handler", "service", "takes_context", "fallback", "hooks", "name", "raw_name", "extra"}
_SNAKE = re.compile(r"(?<=[a-z0-9])([A-Z])")


def snake(name: str) -> str:
    """`retryPolicy` as `retry_policy`."""
    return _SNAKE.sub(lambda match: "_" + match[1].lower(), name)


def camel(name: str) -> str:
    """`retry_policy` as `retryPolicy`."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


@dataclass(slots=True)
class ActionSchema:
    """One action, here or elsewhere.

    Attributes:
        name: its full name: `v2.math.add`.
        raw_name: its name within its service: `add`.
        handler: what it runs; `None` for another node's.
        takes_context: whether the handler takes a `Context`, not the parameters alone.
        params: the rules for its parameters: fastest-validator's, a pydantic model, or a dataclass.
        cache: whether answers are cached: `True`, or `{"keys", "ttl", "enabled", "lock"}`.
        visibility: `published`, `public`, `protected` or `private`.
        timeout: how long callers wait, in milliseconds; 0: for ever.
        retry_policy, circuit_breaker, bulkhead: what differs from the broker's own options.
        fallback: what is returned when it fails: a function of `(ctx, error)`, a method's name, or a value.
        hooks: `{"before", "after", "error"}`.
        tracing: whether calls are traced, or how.
        strategy: the name of a balancing strategy; `strategy_options` are its options.
        rest: for gateways.
        service: the service that has it; `None` for another node's.
        extra: whatever else the schema says.
    """

    name: str
    raw_name: str = ""
    handler: Any = None
    takes_context: bool = False
    params: Any = None
    cache: Any = None
    visibility: str = "published"
    timeout: float | None = None
    retry_policy: Mapping[str, Any] | None = None
    circuit_breaker: Mapping[str, Any] | None = None
    bulkhead: Mapping[str, Any] | None = None
    fallback: Any = None
    hooks: Mapping[str, Any] | None = None
    tracing: Any = None
    metrics: Any = None
    strategy: str | None = None
    strategy_options: Mapping[str, Any] | None = None
    rest: Any = None
    service: Any = None
    extra: dict[str, Any] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """What other nodes are told of it."""
        return {**_told(self), "rawName": self.raw_name, "name": self.name}


@dataclass(slots=True)
class EventSchema:
    """What a service listens to.

    Attributes:
        name: an event's name, or a pattern.
        handler: what it runs.
        takes_context: whether the handler takes a `Context`, not the payload alone.
        group: of a group, one service gets each event; the service's name unless given.
        params: the rules for the payload.
        debounce, throttle: in milliseconds.
        bulkhead, strategy, strategy_options, tracing: as an action's.
        service: the service that listens.
        extra: whatever else the schema says.
    """

    name: str
    handler: Any = None
    takes_context: bool = False
    group: str | None = None
    params: Any = None
    debounce: float | None = None
    throttle: float | None = None
    bulkhead: Mapping[str, Any] | None = None
    strategy: str | None = None
    strategy_options: Mapping[str, Any] | None = None
    tracing: Any = None
    service: Any = None
    extra: dict[str, Any] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """What other nodes are told of it."""
        return {**_told(self), "name": self.name}


def action_of(name: str, schema: Mapping[str, Any]) -> ActionSchema:
    """An action from its schema, with Moleculer's names or ours."""
    known, extra = _split(ActionSchema, schema)
    return ActionSchema(**{"name": name, "raw_name": name, **known, "extra": extra})


def event_of(name: str, schema: Mapping[str, Any]) -> EventSchema:
    """An event from its schema, with Moleculer's names or ours."""
    known, extra = _split(EventSchema, schema)
    return EventSchema(**{"name": name, **known, "extra": extra})


def _split(kind: type, schema: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    names = {one.name for one in fields(kind)} - {"extra", "service"}
    known: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for key, value in schema.items():
        if snake(key) in names:
            known[snake(key)] = value
        else:
            extra[key] = value
    return known, extra


def _told(schema: ActionSchema | EventSchema) -> dict[str, Any]:
    told = dict(schema.extra)
    for one in fields(schema):
        value = getattr(schema, one.name)
        if one.name == "params" and isinstance(value, type):
            value = ModelCheck(value).rules()
        if one.name not in _KEPT_HERE and value is not None:
            told[camel(one.name)] = value
    return {key: plain for key, value in told.items() if (plain := _plain(value)) is not _LEFT_OUT}


_LEFT_OUT = object()


def _plain(value: Any) -> Any:
    """A value as JSON has it; functions and classes are left out, as JavaScript leaves them out."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        items = ((str(key), _plain(item)) for key, item in value.items())
        return {key: item for key, item in items if item is not _LEFT_OUT}
    if isinstance(value, list | tuple):
        return [None if (item := _plain(one)) is _LEFT_OUT else item for one in value]
    return _LEFT_OUT
