"""The life of one process of an application: what begins before it serves, and ends after."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from .container import Container
from .contexts import AppType, Place, current_place
from .microservice import AppInterceptor, Microservice
from .unit_of_work import UnitOfWork


class Running:
    """A process of an application that has begun.

    Attributes:
        app: the application.
        container: with all of its providers.
        interceptors: made, in the order of the list.
        unit_of_work: what runs its actions.
        controllers: one instance of each, by its class.
        shutdown: set when the process is to end.
    """

    def __init__(self, app: Microservice, container: Container, app_type: AppType) -> None:
        self.app, self.container, self.app_type = app, container, app_type
        self.interceptors: list[AppInterceptor] = []
        self.unit_of_work = UnitOfWork(container, (), app_type)
        self.controllers: dict[type[Any], Any] = {}
        self.shutdown = app.shutdown_event or asyncio.Event()
        self.started = app.startup_complete_event or asyncio.Event()


@asynccontextmanager
async def running(app: Microservice, app_type: AppType) -> AsyncIterator[Running]:
    """Provides what is to be provided, makes interceptors and controllers, and has interceptors begin; ends all in
    reverse, whatever happened.

    Raises:
        DependencyError: something cannot be provided.
        ConfigurationError: an interceptor is none.
    """
    container = Container(app)
    process = Running(app, container, app_type)
    container.register(app, Microservice)
    container.register(process, Running)
    token = current_place.set(Place(container, app_type))
    try:
        async with AsyncExitStack() as stack:
            await container.fill_providers(after_interceptors=False)
            for given in [*_defaults(app), *app.interceptors]:
                interceptor = await _made(container, given)
                process.interceptors.append(interceptor)
                if callable(lifecycle := getattr(interceptor, "lifecycle", None)):
                    await stack.enter_async_context(lifecycle(app, container))
            await container.fill_providers(after_interceptors=True)
            process.unit_of_work = UnitOfWork(container, process.interceptors, app_type)
            for controller in app.controllers:
                process.controllers[controller] = await container.provide(controller)
            for interceptor in process.interceptors:
                if callable(serving := getattr(interceptor, "serving", None)):
                    await stack.enter_async_context(serving(process))
            stack.callback(process.shutdown.set)
            process.started.set()
            yield process
    finally:
        current_place.reset(token)


def _defaults(app: Microservice) -> list[Any]:
    """What an application has without asking for it: a bus in process where it has handlers, and websockets where it
    has endpoints of them."""
    from ..bus import interceptor as bus
    from ..ws import managing as websockets

    return [*bus.default_interceptors(app), *websockets.default_interceptors(app)]


async def _made(container: Container, given: Any) -> AppInterceptor:
    if not inspect.isclass(given) and callable(getattr(given, "intercept", None)):
        interceptor: AppInterceptor = given
        return interceptor
    made = container.call(given)
    interceptor = await made if inspect.isawaitable(made) else made
    return interceptor


def is_shutting_down() -> bool:
    """Whether the process of the application that runs now is to end."""
    event = _event()
    return event is not None and event.is_set()


def request_shutdown() -> None:
    """Has the process of the application that runs now end, in good order."""
    event = _event()
    if event is not None:
        event.set()


async def wait_for_shutdown() -> None:
    """Waits until the process of the application that runs now is to end."""
    event = _event()
    if event is None:
        await asyncio.Future()
    else:
        await event.wait()


async def shutdown_race(*awaitables: Awaitable[Any]) -> bool:
    """Waits until one of these has ended, or the process is to end; what has not ended then is cancelled.

    Returns:
        whether the process is to end.
    """
    tasks = [asyncio.ensure_future(one) for one in awaitables]
    ending = asyncio.ensure_future(wait_for_shutdown())
    try:
        await asyncio.wait([*tasks, ending], return_when=asyncio.FIRST_COMPLETED)
        return ending.done()
    finally:
        for task in (*tasks, ending):
            task.cancel()
        await asyncio.gather(*tasks, ending, return_exceptions=True)


def _event() -> asyncio.Event | None:
    try:
        container = current_place.get().container
    except LookupError:
        return None
    process = container.instances_map.get(Running)
    return process.shutdown if process is not None else None
