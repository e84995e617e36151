"""The broker's error handler: a function of the user's that sees every error of calls and listeners."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from ..schema import ActionSchema, EventSchema

Handler = Callable[[Any], Awaitable[Any]]


class ErrorHandler:
    """Calls `handle(error, info)` when an action, here or at another node, or a listener of this node fails, and when
    nobody serves what is called.

    What it returns, or resolves to, is the call's answer; what it raises is its error. `info` has `ctx`, `service`
    (`None` for another node's) and `action` or `event`; `error.ctx` is the context, too.

    Args:
        handle: the broker's `error_handler`.
    """

    def __init__(self, handle: Callable[[Exception, dict[str, Any]], Any]) -> None:
        self._handle = handle

    def local_action(self, next: Handler, action: ActionSchema) -> Handler:
        """The action, with errors handled."""
        return self._handled(next, {"service": action.service, "action": action})

    def remote_action(self, next: Handler, action: ActionSchema) -> Handler:
        """The other node's action, with errors handled."""
        return self._handled(next, {"service": None, "action": action})

    def local_event(self, next: Handler, event: EventSchema) -> Handler:
        """The listener, with errors handled; what is raised again is logged."""
        return self._handled(next, {"service": event.service, "event": event})

    async def unrouted(self, ctx: Any, action: str, error: Exception) -> Any:
        """A call that reached no node, with its error handled; `info` has the action's name as `action_name`."""
        return await self._ask(error, {"ctx": ctx, "service": None, "action": None, "action_name": action})

    def _handled(self, next: Handler, known: dict[str, Any]) -> Handler:
        async def handled(ctx: Any) -> Any:
            try:
                return await next(ctx)
            except Exception as error:
                if getattr(ctx, "error_seen", None) is error:
                    # Of a call that was retried: its last attempt's, which was handled there.
                    raise
                try:
                    return await self._ask(error, {"ctx": ctx, **known})
                except Exception as raised:
                    ctx.error_seen = raised
                    raise

        return handled

    async def _ask(self, error: Exception, info: dict[str, Any]) -> Any:
        error.ctx = info["ctx"]  # type: ignore[attr-defined]
        answer = self._handle(error, info)
        return await answer if inspect.isawaitable(answer) else answer
