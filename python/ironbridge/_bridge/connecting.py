"""What `connect()` and `connect_async()` are given, checked, as the native clients take it."""

from __future__ import annotations

from ..errors import ConfigurationError
from .typed import classes_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .._engine import _ConnectOptions as ConnectOptions


def connect_options(
    api: Any,
    timeout: float,
    poll_interval: float,
    call_timeout: float | None,
    token: str | None,
    tls_ca: str | None,
) -> ConnectOptions:
    """The options, if all are in range; see `connect`."""
    if not timeout >= 0 or not poll_interval > 0:
        raise ConfigurationError("timeout is seconds, 0 or more, and poll_interval is more than 0")
    return {
        "timeout": timeout,
        "poll_interval": poll_interval,
        "call_timeout": checked_timeout(call_timeout),
        "token": token,
        "tls_ca": tls_ca,
        "api_classes": classes_of(api) if api is not None else None,
    }


def checked_timeout(timeout: float | None) -> float | None:
    """The number of seconds, if it is one."""
    if timeout is not None and not timeout > 0:
        raise ConfigurationError(f"timeout is seconds, more than 0, or None; not {timeout!r}")
    return timeout


def constructor_arguments(kwargs: dict[str, Any], init: Mapping[str, Any] | None) -> dict[str, Any]:
    """Both ways of giving keyword arguments, as one."""
    twice = kwargs.keys() & (init or {}).keys()
    if twice:
        raise ConfigurationError(f"constructor argument {sorted(twice)[0]!r} is given twice, also in init={{...}}")
    return {**kwargs, **(init or {})}
