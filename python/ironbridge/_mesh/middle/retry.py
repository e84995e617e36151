"""Retries: calls that fail, and may go well another time, are made again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ..schema import ActionSchema
from .policy import check, of_broker, of_schema

Handler = Callable[[Any], Awaitable[Any]]


def is_retryable(error: BaseException) -> bool:
    """Whether the error says that trying again may help."""
    return bool(getattr(error, "retryable", False))


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When calls are made again. The names and defaults are Moleculer's.

    Attributes:
        enabled: whether they are.
        retries: how often, after the first time; the call's own option `retries` comes before it.
        delay: how long to wait before the first retry, in milliseconds.
        max_delay: how long at most.
        factor: how much longer each wait is than the one before.
        check: whether an error is one to try again after.
    """

    enabled: bool = False
    retries: int = 5
    delay: float = 100
    max_delay: float = 1000
    factor: float = 2
    check: Callable[[BaseException], Any] = is_retryable

    def wait(self, done: int) -> float:
        """Milliseconds to wait when so many retries were made."""
        return float(min(self.delay * self.factor**done, self.max_delay))


class Retry:
    """Makes calls of this node again. Its endpoint is chosen anew each time.

    A call of another node is never retried here, as that node does it. A call that carries a stream is not, either:
    the stream can be read once. An action's own `retry_policy` comes before the broker's, another node's
    too.

    Args:
        broker: whose calls they are.
        options: the broker's `retry_policy`.

    Raises:
        BrokerOptionsError: it is no such policy.
    """

    def __init__(self, broker: Any, options: Any = None) -> None:
        self._broker = broker
        self._policy = of_broker(RetryPolicy, options, "retry_policy")
        self._logger = broker.get_logger("retry")

    @property
    def enabled(self) -> bool:
        """Whether it has to do with all actions, not only with those that say so."""
        return self._policy.enabled

    def service_creating(self, service: Any, _schema: Any) -> None:
        """Refuses a service whose actions' policies are wrong, before it is there."""
        check(self._policy, service, "retry_policy")

    def local_action(self, next: Handler, action: ActionSchema) -> Handler:
        """The action of this node, retried; itself if it is not to be."""
        return self._around(next, action)

    def remote_action(self, next: Handler, action: ActionSchema) -> Handler:
        """The action of another node, retried; itself if it is not to be."""
        return self._around(next, action)

    def _around(self, next: Handler, action: ActionSchema) -> Handler:
        policy = of_schema(self._policy, action.retry_policy, action)
        if not policy.enabled:
            return next

        async def retrying(ctx: Any) -> Any:
            try:
                return await next(ctx)
            except Exception as error:
                done = getattr(ctx, "retries_made", 0)
                if not self._goes_on(ctx, policy, done) or not policy.check(error):
                    raise
                delay = policy.wait(done)
                told = (action.name, error, delay, done + 1)
                self._logger.warning("%s has failed: %s; in %g ms it is tried again (%d)", *told)
            ctx.retries_made = done + 1
            if self._broker.metrics is not None:
                labels = {"service": action.name.removesuffix(f".{action.raw_name}"), "action": action.name}
                self._broker.metrics.increment("moleculer.request.retry.attempts.total", labels)
            await asyncio.sleep(delay / 1000)
            return await self._again(action, ctx)

        return retrying

    def _goes_on(self, ctx: Any, policy: RetryPolicy, done: int) -> bool:
        if ctx.node_id != self._broker.node_id or ctx.options.get("stream") is not None:
            return False
        own = ctx.options.get("retries")
        return done < (own if isinstance(own, int) and not isinstance(own, bool) else policy.retries)

    async def _again(self, action: ActionSchema, ctx: Any) -> Any:
        # An answer to the attempt before must not be taken for one to this.
        ctx.request_id, ctx.id = ctx.request_id, self._broker.generate_uid()
        if action.visibility == "private" and ctx.service is not None:
            options = {name: value for name, value in ctx.options.items() if name != "ctx"}
            return await getattr(ctx.service.actions, action.raw_name)(ctx.params, ctx=ctx, **options)
        return await self._broker.retry(ctx)
