"""`@MicroService.action` and `@MicroService.task`: the marks of every face, their names checked for the hub."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

from .. import service
from .binding import checked_name

if TYPE_CHECKING:
    from ..service import F


class Marks:
    """The decorators of a `MicroService`."""

    @overload
    @staticmethod
    def action(target: F) -> F: ...
    @overload
    @staticmethod
    def action(target: str | None = None, *, name: str | None = None) -> Callable[[F], F]: ...
    @staticmethod
    def action(target: Any = None, *, name: str | None = None) -> Any:
        """Makes a method an action: `@MicroService.action` or `@MicroService.action(name="x")`.

        It is called with the name of the service that asks, and the data; what it returns is the answer to a call.
        A plain method runs on a thread.

        Raises:
            ConfigurationError: what is decorated is no function, or the name cannot be an action's.
        """
        _check(target, name, "an action's name")
        return service.action(target, name=name)

    @overload
    @staticmethod
    def task(target: F) -> F: ...
    @overload
    @staticmethod
    def task(target: str | None = None, *, name: str | None = None) -> Callable[[F], F]: ...
    @staticmethod
    def task(target: Any = None, *, name: str | None = None) -> Any:
        """Makes a method a task: `@MicroService.task` or `@MicroService.task(name="x")`.

        It is called without arguments when the service runs, and is cancelled when the service ends. A plain method
        runs on a thread, which nothing can cancel: it should look at `service.stopping`.

        Raises:
            ConfigurationError: what is decorated is no function, or the name cannot be a task's.
        """
        _check(target, name, "a task's name")
        return service.task(target, name=name)


def _check(target: object, name: object, what: str) -> None:
    for given in (target, name):
        if isinstance(given, str):
            checked_name(given, what)
