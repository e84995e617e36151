"""What a daemon says through `logging`: logger `ironbridge.bridge`, and one below it for each service."""

from __future__ import annotations

import time

from .._logs import short, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable
    from typing import Any, TypeAlias

    from ..service import Endpoint

    Args: TypeAlias = tuple[Any, ...]
    Kwargs: TypeAlias = dict[str, Any]


def logger(service: str | None = None) -> logging.Logger:
    """The bridge's logger, or that of one service."""
    import logging

    return logging.getLogger("ironbridge.bridge" + (f".{service}" if service else ""))


def calls(service: str, endpoints: Iterable[Endpoint]) -> CallLog:
    """What logs each call of a service, for `create(..., logger=True)`.

    A program that has not configured logging gets the lines on stderr.
    """
    import logging

    log = logger(service)
    visible(log, logger(), logging.INFO)
    return CallLog(log, endpoints)


class CallLog:
    """Puts itself around endpoints, so that those of a service without it cost nothing more."""

    def __init__(self, log: logging.Logger, endpoints: Iterable[Endpoint]) -> None:
        self._log = log
        self._methods = {endpoint.attribute: endpoint for endpoint in endpoints if endpoint.kind == "instance"}

    def free(self, endpoint: Endpoint) -> Callable[..., Any]:
        """A logged function, static or class method."""
        return self._around(endpoint.name, endpoint.function, endpoint.coroutine)

    def factory(self, owner: type) -> Callable[..., Any]:
        """Makes instances whose endpoints are logged."""
        return lambda *args, **kwargs: _Logged(owner(*args, **kwargs), self)

    def method(self, instance: object, attribute: str) -> Any:
        """An instance's attribute; logged if it is an endpoint."""
        found = getattr(instance, attribute)
        endpoint = self._methods.get(attribute)
        return found if endpoint is None else self._around(endpoint.name, found, endpoint.coroutine)

    def _around(self, name: str, function: Callable[..., Any], coroutine: bool) -> Callable[..., Any]:
        def plain(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                self._failed(name, args, kwargs, error, began)
                raise
            self._succeeded(name, args, kwargs, result, began)
            return result

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                self._failed(name, args, kwargs, error, began)
                raise
            self._succeeded(name, args, kwargs, result, began)
            return result

        return awaited if coroutine else plain

    def _succeeded(self, name: str, args: Args, kwargs: Kwargs, result: object, began: float) -> None:
        took = (time.perf_counter() - began) * 1e3
        self._log.info("%s(%s) -> %s in %.3f ms", name, _given(args, kwargs), short(result), took)

    def _failed(self, name: str, args: Args, kwargs: Kwargs, error: BaseException, began: float) -> None:
        took = (time.perf_counter() - began) * 1e3
        self._log.error("%s(%s) failed in %.3f ms", name, _given(args, kwargs), took, exc_info=error)


class _Logged:
    """An instance of the user's class, as the engine sees it when calls are logged."""

    __slots__ = ("_instance", "_log")

    def __init__(self, instance: object, log: CallLog) -> None:
        self._instance = instance
        self._log = log

    def __getattr__(self, attribute: str) -> Any:
        return self._log.method(self._instance, attribute)


def _given(args: Args, kwargs: Kwargs) -> str:
    return ", ".join([*map(short, args), *(f"{key}={short(value)}" for key, value in kwargs.items())])
