"""What the hub's face says through `logging`: logger `ironbridge.hub`, and one below it for each service."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine
from inspect import isawaitable
from typing import Any

from .._logs import short, visible
from ..errors import _users

ROOT = logging.getLogger("ironbridge.hub")

Hook = Callable[..., object]

# What a service's state means to whoever reads its log.
_STATES = {
    "connected": (logging.INFO, "at the hub"),
    "lost": (logging.WARNING, "the hub is lost: looking for another"),
    "searching": (logging.INFO, "there is no hub yet: looking for one"),
}


def logger(name: str, debug: bool) -> logging.Logger:
    """The logger of one service or hub; with `debug` its lines are seen even where logging is not configured."""
    log = ROOT.getChild(name)
    if debug:
        visible(log, ROOT, logging.DEBUG)
    return log


class Failures:
    """Where failures of a service's own code are told: its log, with their tracebacks, and `on_error`."""

    def __init__(self, log: logging.Logger, hook: Hook | None) -> None:
        self._log = log
        self._hook = hook

    def __call__(self, error: BaseException, where: str) -> Coroutine[Any, Any, None] | None:
        """Tells one. What is returned, if anything, is the rest of an asynchronous `on_error`, to be awaited."""
        # What the engine tells of itself has no traceback to be shown.
        shown = (type(error), error, _users(error.__traceback__)) if error.__traceback__ else None
        self._log.error("%s failed: %s: %s", where, type(error).__name__, error, exc_info=shown)
        if self._hook is None:
            return None
        try:
            rest = self._hook(error, where)
        except Exception as broken:
            self._broken(broken)
            return None
        return self._awaited(rest) if isawaitable(rest) else None

    async def _awaited(self, rest: Awaitable[object]) -> None:
        try:
            await rest
        except Exception as broken:
            self._broken(broken)

    def _broken(self, error: Exception) -> None:
        self._log.error("on_error itself failed: %s: %s", type(error).__name__, error, exc_info=error)


def received(log: logging.Logger, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, its calls logged: for `debug=True`, so that others pay nothing."""

    def logged(*arguments: object) -> Any:
        log.debug("received %s(%s)", what, ", ".join(map(short, arguments)))
        return function(*arguments)

    return logged


def state(log: logging.Logger, now: str) -> None:
    """One line for a change of a service's place at the hub."""
    level, text = _STATES.get(now, (logging.INFO, now))
    log.log(level, "%s: %s", log.name.rpartition(".")[2], text)


def sent(log: logging.Logger, what: str, data: object) -> None:
    """One line for a message that leaves."""
    log.debug("sending %s: %s", what, short(data))
