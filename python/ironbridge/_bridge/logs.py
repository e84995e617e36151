"""What a daemon says through `logging`: logger `ironbridge.bridge`, and one below it for each service."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping
    from typing import Any

_LONGEST = 200


def logger(service: str | None = None) -> logging.Logger:
    """The bridge's logger, or that of one service."""
    import logging

    return logging.getLogger("ironbridge.bridge" + (f".{service}" if service else ""))


def calls(service: str) -> Callable[..., None]:
    """What logs each call of a service, for `create(..., logger=True)`.

    A program that has not configured logging gets the lines on stderr.
    """
    import logging

    log = logger(service)
    if not log.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger().addHandler(handler)
    if log.level == logging.NOTSET:
        log.setLevel(logging.INFO)

    def log_call(
        endpoint: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any] | None,
        result: Any,
        error: BaseException | None,
        seconds: float,
    ) -> None:
        given = ", ".join([*map(_short, args), *(f"{key}={_short(value)}" for key, value in (kwargs or {}).items())])
        if error is None:
            log.info("%s(%s) -> %s in %.3f ms", endpoint, given, _short(result), seconds * 1e3)
        else:
            log.error("%s(%s) failed in %.3f ms", endpoint, given, seconds * 1e3, exc_info=error)

    return log_call


def _short(value: object) -> str:
    try:
        if isinstance(value, (bytes, bytearray, memoryview)) and len(value) > _LONGEST:
            return f"<{len(value)} bytes>"
        text = repr(value)
    except Exception:
        return f"<{type(value).__name__} whose repr() fails>"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"
