"""What the faces' logs share: values cut short, and a place for lines to go."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging

_LONGEST = 200


def visible(log: logging.Logger, home: logging.Logger, level: int) -> None:
    """Lets a logger's lines be seen: a program that has not configured logging gets those of `home` on stderr."""
    import logging

    if not log.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        home.addHandler(handler)
    if log.level == logging.NOTSET:
        log.setLevel(level)


def short(value: object) -> str:
    """The value's repr, at most 200 characters of it; of many bytes only their number."""
    try:
        if isinstance(value, (bytes, bytearray, memoryview)) and len(value) > _LONGEST:
            return f"<{len(value)} bytes>"
        text = repr(value)
    except Exception:
        return f"<{type(value).__name__} whose repr() fails>"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"
