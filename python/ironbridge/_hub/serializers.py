"""How messages are written: JSON by the engine, plain msgpack, or the user's own `dumps` and `loads`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from .. import _engine
from ..errors import ConfigurationError

Dumps: TypeAlias = Callable[[Any], str | bytes]
Loads: TypeAlias = Callable[[Any], Any]


class Serializer(Protocol):
    """An object that writes and reads messages: a module such as `json`, or one's own.

    `dumps` gives text or bytes, always the same of the two, and `loads` is given what `dumps` gives.
    """

    def dumps(self, obj: Any, /) -> str | bytes: ...
    def loads(self, data: Any, /) -> Any: ...


def chosen(serializer: object) -> tuple[Dumps | None, Loads | None]:
    """The two functions; None for both means the engine's own JSON.

    Raises:
        ConfigurationError: it is neither a known name nor an object with `dumps` and `loads`.
    """
    if serializer is None or serializer == "json" or serializer is sys.modules.get("json"):
        return None, None
    if serializer == "msgpack":
        return _engine._encode_msgpack, _engine._decode_msgpack
    dumps, loads = getattr(serializer, "dumps", None), getattr(serializer, "loads", None)
    if not callable(dumps) or not callable(loads):
        raise ConfigurationError(
            f"serializer is 'json', 'msgpack' or an object with dumps() and loads(), not {serializer!r}"
        )
    return dumps, loads
