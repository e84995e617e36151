"""Fallbacks: what is answered in place of an error."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from ..schema import ActionSchema
from ..service import bound

Handler = Callable[[Any], Awaitable[Any]]


async def respond(ctx: Any, error: Exception) -> Any:
    """What a call answers that has failed: its option `fallback_response`, or what that returns for
    `(ctx, error)`. Without one, the error is raised.

    The context has `fallback_result = True` then.
    """
    given = ctx.options.get("fallback_response")
    if given is None:
        raise error
    return await _instead(ctx, error, given, ctx.broker.logger)


class Fallback:
    """Answers for actions of this node that fail and have a `fallback`: a function of `(ctx, error)`, the name of a
    method of the service, or any other value, which is the answer itself. A `fallback_response` of the call comes
    before it."""

    def local_action(self, next: Handler, action: ActionSchema) -> Handler:
        """The action with its fallback; itself if it has none."""
        service, given = action.service, action.fallback
        if given is None:
            return next
        if isinstance(given, str):
            method = getattr(service, given, None)
            given = method if callable(method) else given
        given = bound(service, given)

        async def falling(ctx: Any) -> Any:
            try:
                return await next(ctx)
            except Exception as error:
                if ctx.options.get("fallback_response") is not None:
                    raise
                return await _instead(ctx, error, given, service.logger)

        return falling


async def _instead(ctx: Any, error: Exception, given: Any, logger: Any) -> Any:
    action = ctx.action.name if ctx.action is not None else "a call"
    logger.warning("%s has failed: %s; its fallback is answered (request %s)", action, error, ctx.request_id)
    ctx.fallback_result = True
    if ctx.broker.metrics is not None and ctx.action is not None:
        labels = {"service": action.removesuffix(f".{ctx.action.raw_name}"), "action": action}
        ctx.broker.metrics.increment("moleculer.request.fallback.total", labels)
    answer = given(ctx, error) if callable(given) else given
    return await answer if inspect.isawaitable(answer) else answer
