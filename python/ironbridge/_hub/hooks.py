"""The hooks of a service: what may be defined, and which of them are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .. import _signatures


def _default(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a hook that does nothing, so that it is not called at all."""
    hook.__dict__["__ironbridge_default__"] = True
    return hook


class Hooks:
    """What a service may define, `async` or plain; a plain one runs on the loop's thread and should be quick."""

    @_default
    async def on_connect(self) -> None:
        """This service is at its hub; again after each reconnection."""

    @_default
    async def on_new_service(self, service: str, actions: list[str]) -> None:
        """Another service has come, or was there already when this one came."""

    @_default
    async def on_broadcast(self, service: str, data: Any) -> None:
        """A broadcast of another service."""

    @_default
    async def on_response(self, service: str, data: Any) -> None:
        """A response to this service."""

    @_default
    async def on_service_lost(self, service: str, instance: str | None) -> None:
        """A service has left, or is silent. `instance` tells processes of one name apart (None for one of aiofase).

        The hook may also take the service's name alone.
        """

    @_default
    async def on_error(self, error: BaseException, where: str) -> None:
        """Something has failed, and is in the log already.

        `where` is `'action "hello"'`, `'task "heartbeat"'`, a hook's name, `"reading a message"`, or `"hub"` when
        messages may have been lost with it.
        """

    @_default
    async def on_state(self, state: str) -> None:
        """The place at the hub has changed: `"connected"`, `"lost"`, or `"searching"` while there is none."""


# A hook's name for the engine, and the methods that it may be; the first that is defined.
_METHODS = {
    "connect": ("on_connect",),
    "new_service": ("on_new_service",),
    "broadcast": ("on_broadcast",),
    "response": ("on_response",),
    "service_lost": ("on_service_lost", "on_service_disconnect"),  # the latter is aiofase's
    "error": ("on_error",),
    "state": ("on_state",),
}


def defined(*places: object) -> dict[str, Callable[..., Any]]:
    """The hooks that the first of these objects to have them defines, by the engine's names."""
    found: dict[str, Callable[..., Any]] = {}
    for name, methods in _METHODS.items():
        for place, method in ((place, method) for place in places for method in methods):
            hook = getattr(place, method, None)
            if callable(hook) and not getattr(hook, "__ironbridge_default__", False):
                found[name] = _of_two(hook) if name == "service_lost" else hook
                break
    return found


def _of_two(hook: Callable[..., Any]) -> Callable[..., Any]:
    """A hook that takes the service's name alone, as one that is given the instance as well."""
    parameters = _signatures.signature(hook)["parameters"]
    kinds = [one["kind"] for one in parameters or ()]
    takes_both = parameters is None or "var_positional" in kinds or sum(kind.startswith("pos") for kind in kinds) > 1
    return hook if takes_both else partial(_without_instance, hook)


def _without_instance(hook: Callable[..., Any], service: str, instance: str | None) -> Any:
    return hook(service)
