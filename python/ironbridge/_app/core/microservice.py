"""The application as it is told: a description that all of its processes share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from .container import Container
from .contexts import AppTransactionContext
from .providing import ProviderSpec


@runtime_checkable
class AppInterceptor(Protocol):
    """Stands around every unit of work: a transaction, a connection, a trace.

    `intercept` may take no argument, too, as the first version of this protocol had it. An interceptor may also have
    `lifecycle(app, container)`, an asynchronous context manager around the whole run of a process.
    """

    def intercept(self, app_context: AppTransactionContext) -> AbstractAsyncContextManager[None]:
        """What is entered before the action runs, and left when it has ended, with its exception if it raised."""


@dataclass
class Microservice:
    """An application.

    Args:
        providers: what is injected: `ProviderSpec`s, or classes.
        controllers: classes whose methods are endpoints, handlers and scheduled actions.
        interceptors: what stands around each of their calls, the first outermost: instances, or callables and classes
            that are made with their parameters provided.
        shutdown_event: set when the process is to end; made when it starts unless given.
        startup_complete_event: set when it has started; made when it starts unless given.
    """

    providers: Sequence[ProviderSpec | type[Any]] = field(default_factory=list)
    controllers: Sequence[type[Any]] = field(default_factory=list)
    interceptors: Sequence[AppInterceptor | Callable[..., AppInterceptor]] = field(default_factory=list)
    shutdown_event: asyncio.Event | None = None
    startup_complete_event: asyncio.Event | None = None


AppLifecycle = Callable[[Microservice, Container], AbstractAsyncContextManager[Any]]
