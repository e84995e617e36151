"""The chain of middlewares: what stands around handlers and the broker's methods, and is told of its life."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .errors import BrokerOptionsError
from .schema import snake

# What a middleware can have: those that wrap something, and those that are told.
_WRAPS = {
    *("local_action", "remote_action", "local_event", "local_method", "local_channel"),
    *("call", "mcall", "emit", "broadcast", "broadcast_local", "send_to_channel"),
    *("create_service", "register_local_service", "destroy_service"),
    *("transit_publish", "transit_message_handler", "transporter_send", "transporter_receive"),
}
_TOLD = {
    *("created", "starting", "started", "stopping", "stopped"),
    *("service_creating", "service_created", "service_starting", "service_started"),
    *("service_stopping", "service_stopped"),
}
# Of these, what a handler is made for is told as well.
_WITH_SCHEMA = {"local_action", "remote_action", "local_event", "local_method", "local_channel"}

Hook = Callable[..., Any]


class Middlewares:
    """Middlewares, the outermost first.

    Each is an object or a dict with hooks, named as Moleculer's or in Python's way: `local_action(next, action)`,
    `remote_action(next, action)`, `local_event(next, event)`, `call(next)`, `emit(next)`, `started(broker)` …
    `transit_publish(next)` and `transit_message_handler(next)` stand around packets: `next(packet)`, `next(cmd, packet)`.
    What wraps gives the new handler, or `next` itself where it has nothing to do.
    """

    def __init__(self) -> None:
        self._hooks: dict[str, list[Hook]] = {}
        self._everywhere: set[str] = set()

    def add(self, middleware: Any, everywhere: bool = True) -> None:
        """Adds one within those that are there.

        Args:
            middleware: an object or a dict with hooks.
            everywhere: whether it has to do with all calls and events, and not only with those whose action or event
                asks for it in its schema.

        Raises:
            BrokerOptionsError: it has no hook, or one that is not callable.
        """
        found = _hooks(middleware)
        if not found:
            known = ", ".join(sorted(_WRAPS | _TOLD))
            raise BrokerOptionsError(f"the middleware {middleware!r} has no hook; there are {known}")
        for name, hook in found.items():
            if not callable(hook):
                raise BrokerOptionsError(f"{name} of the middleware {middleware!r} cannot be called")
            self._hooks.setdefault(name, []).append(hook)
            if everywhere:
                self._everywhere.add(name)

    def has(self, kind: str) -> bool:
        """Whether any that has to do with all calls and events has this hook."""
        return kind in self._everywhere

    def wrap(self, kind: str, handler: Any, schema: Any = None, reverse: bool = False) -> Any:
        """A handler with all around it, the first outermost (innermost when `reverse`); itself when none of them has
        anything to do."""
        hooks: Sequence[Hook] = self._hooks.get(kind, ())
        for hook in hooks if reverse else reversed(hooks):
            wrapped = hook(handler, schema) if kind in _WITH_SCHEMA else hook(handler)
            handler = wrapped if wrapped is not None else handler
        return handler

    def call_sync(self, kind: str, *arguments: Any) -> None:
        """Tells all, in order."""
        for hook in self._hooks.get(kind, ()):
            hook(*arguments)

    async def call(self, kind: str, *arguments: Any, reverse: bool = False) -> None:
        """Tells all and waits for each; the innermost first when `reverse`."""
        hooks: Sequence[Hook] = self._hooks.get(kind, ())
        for hook in reversed(hooks) if reverse else hooks:
            told = hook(*arguments)
            if inspect.isawaitable(told):
                await told


def _hooks(middleware: Any) -> dict[str, Hook]:
    if isinstance(middleware, Mapping):
        named = {snake(str(name)): hook for name, hook in middleware.items()}
        return {name: hook for name, hook in named.items() if name in _WRAPS | _TOLD}
    found: dict[str, Hook] = {}
    for name in dir(middleware):
        if snake(name) in _WRAPS | _TOLD and not name.startswith("_"):
            found[snake(name)] = getattr(middleware, name)
    return found
