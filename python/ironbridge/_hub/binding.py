"""What a service's object offers: its actions and tasks, each bound to it and callable in one way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from inspect import isawaitable
from typing import Any

from .. import _signatures, service
from ..errors import ConfigurationError

Bound = Callable[..., Coroutine[Any, Any, Any]]


def checked_name(name: object, what: str) -> str:
    """The name, if messages can begin with it.

    Raises:
        ConfigurationError: it is not 1 to 255 printable characters, or begins with `<`.
    """
    if not isinstance(name, str) or not 0 < len(name) <= 255 or not name.isprintable() or name.startswith("<"):
        raise ConfigurationError(
            f"{what} is 1 to 255 printable characters and does not begin with '<', which is kept for the hub's own "
            f"messages; not {name!r}"
        )
    return name


def functions(target: object, kind: str) -> dict[str, Bound]:
    """The methods of an object that are marked so, by the names they are known under; awaitable, all of them.

    Raises:
        ConfigurationError: two have one name, or a name cannot be.
    """
    found: dict[str, Bound] = {}
    for endpoint in service.collect(type(target), {}, kind):
        method = getattr(target, endpoint.attribute)
        bound = method if _signatures.is_coroutine(method) else in_thread(method)
        for name in (endpoint.name, *endpoint.aliases):
            if name == endpoint.name or name != endpoint.attribute:
                found[checked_name(name, f"the name of an {kind}" if kind == "action" else f"a {kind}'s name")] = bound
    return found


def in_thread(function: Callable[..., Any]) -> Bound:
    """A plain function as a coroutine function: it runs on a thread of the loop's pool, in the caller's context."""

    async def run(*arguments: Any) -> Any:
        result = await asyncio.to_thread(function, *arguments)
        # A wrapper that is no coroutine function itself may stand before one.
        return await result if isawaitable(result) else result

    return run
