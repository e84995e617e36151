"""Hooks: what services have run before and after their actions, and when these fail."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..bus import matches
from ..errors import ServiceSchemaError
from ..schema import ActionSchema
from ..service import bound

Handler = Callable[[Any], Awaitable[Any]]
Hook = Callable[..., Any]


@dataclass(slots=True)
class Hooks:
    """The hooks of one action, in the order in which they run.

    Attributes:
        before: called with the context.
        after: called with the context and the answer; what the last returns is the answer.
        error: called with the context and the error; what one returns becomes the answer, what it raises the error.
    """

    before: list[Hook] = field(default_factory=list)
    after: list[Hook] = field(default_factory=list)
    error: list[Hook] = field(default_factory=list)

    @classmethod
    def of(cls, action: ActionSchema) -> Hooks:
        """Those of the action and of its service. A service names actions by patterns, several with `|` between.

        Raises:
            ServiceSchemaError: a hook is neither a function nor the name of a method.
        """
        found = cls()
        for when in ("before", "after", "error"):
            told = (action.service.hooks or {}).get(when) or {}
            own = (action.hooks or {}).get(when)
            if not isinstance(told, Mapping):
                raise ServiceSchemaError(f"{action.service.full_name}: hooks[{when!r}] is a dict of actions' names")
            everywhere = _listed(action, told.get("*"))
            named = [hook for name, hooks in told.items() if _means(name, action) for hook in _listed(action, hooks)]
            mine = _listed(action, own)
            # They lie around the action as shells: the outermost is first before it, and last after it.
            setattr(found, when, [*everywhere, *named, *mine] if when == "before" else [*mine, *named, *everywhere])
        return found

    def __bool__(self) -> bool:
        return bool(self.before or self.after or self.error)

    async def run(self, handler: Handler, ctx: Any) -> Any:
        """Calls the action, with all of them."""
        try:
            for hook in self.before:
                await _finished(hook(ctx))
            answer = await handler(ctx)
            for hook in self.after:
                answer = await _finished(hook(ctx, answer))
            return answer
        except Exception as error:
            return await self._failed(ctx, error)

    async def _failed(self, ctx: Any, error: Exception) -> Any:
        for hook in self.error:
            try:
                return await _finished(hook(ctx, error))
            except Exception as raised:
                error = raised
        raise error


class ActionHook:
    """Runs services' hooks around their actions."""

    def service_creating(self, service: Any, _schema: Any) -> None:
        """Refuses a service whose hooks cannot be called, before it is there."""
        for action in service.action_schemas:
            Hooks.of(action)

    def local_action(self, next: Handler, action: ActionSchema) -> Handler:
        """The action with its hooks; itself if it has none."""
        hooks = Hooks.of(action)
        if not hooks:
            return next

        async def hooked(ctx: Any) -> Any:
            return await hooks.run(next, ctx)

        return hooked


def _means(names: str, action: ActionSchema) -> bool:
    return names != "*" and any(matches(pattern, action.raw_name) for pattern in names.split("|"))


def _listed(action: ActionSchema, hooks: Any) -> list[Hook]:
    if hooks is None:
        return []
    return [_callable(action, hook) for hook in (hooks if isinstance(hooks, list | tuple) else [hooks])]


def _callable(action: ActionSchema, hook: Any) -> Hook:
    service = action.service
    found = getattr(service, hook, None) if isinstance(hook, str) else bound(service, hook)
    if not callable(found):
        raise ServiceSchemaError(
            f"{service.full_name}: {hook!r}, a hook of {action.raw_name!r}, is neither a function nor a method's name"
        )
    function: Hook = found
    return function


async def _finished(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
