"""The unit of work: interceptors around each request, message, tick and socket."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Any

from ...errors import ConfigurationError
from ..reflect.metadata import _current as current_metadata
from .container import Container
from .contexts import AppTransactionContext, AppType, Place, current_context, current_place
from .microservice import AppInterceptor

Intercept = Callable[[AppTransactionContext], AbstractAsyncContextManager[Any]]


class UnitOfWork:
    """Runs actions of an application, each with its context and within all interceptors.

    They are entered in the order of the list and left in reverse, with the action's exception if it raised.

    Args:
        container: the application's.
        interceptors: those that are entered, the outermost first.
        app_type: the process's.

    Raises:
        ConfigurationError: one of them is none.
    """

    def __init__(self, container: Container, interceptors: Sequence[AppInterceptor], app_type: AppType) -> None:
        self._place = Place(container, app_type)
        self._intercepts = [_intercept(one) for one in interceptors]

    def __call__(self, context: AppTransactionContext) -> AbstractAsyncContextManager[None]:
        """One unit of work."""
        return _Unit(self, context)

    @property
    def is_plain(self) -> bool:
        """Whether nothing stands around actions: then `enter` and `leave` are all that there is to it."""
        return not self._intercepts

    def enter(self, context: AppTransactionContext) -> tuple[Any, ...]:
        """Makes this the context of what runs now."""
        return (
            current_context.set(context),
            current_place.set(self._place),
            current_metadata.set(context.controller_member_reflect.metadata),
        )

    def leave(self, tokens: tuple[Any, ...]) -> None:
        """Undoes `enter`."""
        current_metadata.reset(tokens[2])
        current_place.reset(tokens[1])
        current_context.reset(tokens[0])

    async def _begin(self, context: AppTransactionContext) -> AbstractAsyncContextManager[Any] | None:
        """Enters the interceptors; gives what leaves them."""
        if not self._intercepts:
            return None
        if len(self._intercepts) == 1:
            only = self._intercepts[0](context)
            await only.__aenter__()
            return only
        async with AsyncExitStack() as stack:
            for intercept in self._intercepts:
                await stack.enter_async_context(intercept(context))
            return stack.pop_all()


class _Unit:
    """One unit of work. A class: as a generator it costs three times as much, and there is one for each message."""

    __slots__ = ("_context", "_inner", "_tokens", "_work")

    def __init__(self, work: UnitOfWork, context: AppTransactionContext) -> None:
        self._work, self._context = work, context

    async def __aenter__(self) -> None:
        self._tokens = self._work.enter(self._context)
        try:
            self._inner = await self._work._begin(self._context)
        except BaseException:
            self._work.leave(self._tokens)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            return await self._inner.__aexit__(kind, raised, trace) if self._inner is not None else None
        finally:
            self._work.leave(self._tokens)


def _intercept(interceptor: Any) -> Intercept:
    function = getattr(interceptor, "intercept", None)
    if not callable(function):
        raise ConfigurationError(f"{interceptor!r} is no interceptor: it has no intercept(app_context)")
    takes_context = any(
        one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD, one.VAR_POSITIONAL)
        for one in inspect.signature(function).parameters.values()
    )
    if takes_context:
        return function  # type: ignore[no-any-return]
    return lambda _context: function()
