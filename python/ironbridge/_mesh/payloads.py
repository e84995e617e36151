"""Values as other nodes read them: what JavaScript writes in its own way, and MessagePack."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from ..errors import ConfigurationError, PayloadError


def plain(value: Any) -> Any:
    """A value of what JSON has: bytes become JavaScript's `Buffer` objects, dates its texts, models their fields.

    Raises:
        PayloadError: it holds what nobody else could read.
    """
    try:
        return _plain(value)
    except RecursionError:
        raise PayloadError("this cannot cross: it holds itself, or is nested too deeply") from None


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else _key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return {"type": "Buffer", "data": list(bytes(value))}
    if isinstance(value, datetime):
        moment = (value if value.tzinfo else value.astimezone()).astimezone(UTC)
        return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal):
        return float(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return _plain(dump(mode="json"))
    raise PayloadError(f"a {type(value).__qualname__} cannot cross: give what JSON has, bytes, dates or a dataclass")


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, int | float):
        return str(key)
    if isinstance(key, Enum):
        return str(key.value)
    return str(key)


def unbuffered(value: Any) -> Any:
    """The bytes that a `Buffer` object of JavaScript's is; any other value as it is."""
    if isinstance(value, Mapping) and value.get("type") == "Buffer" and len(value) == 2:
        data = value.get("data")
        if isinstance(data, list):
            return bytes(data)
        if isinstance(data, str):
            return base64.b64decode(data)
    return value


def _msgpack() -> Any:
    try:
        import msgpack
    except ImportError as missing:
        raise ConfigurationError('serializer="msgpack" needs the package msgpack: pip install msgpack') from missing
    return msgpack


def packed(value: Any, at: str) -> bytes:
    """A value as MessagePack. `at` names it in a refusal."""
    msgpack = _msgpack()
    try:
        data: bytes = msgpack.packb(value, use_bin_type=True, datetime=False, default=_packable)
    except (TypeError, ValueError, OverflowError) as error:
        raise PayloadError(f"{at}: {error}") from error
    return data


def _packable(value: Any) -> Any:
    return bytes(value) if isinstance(value, bytearray | memoryview) else plain(value)


def unpacked(data: bytes, exact: bool = False) -> Any:
    """The value of a MessagePack text.

    Args:
        exact: times stay MessagePack's own, so that they are packed again as they were.

    Raises:
        PayloadError: it is none.
    """
    msgpack = _msgpack()
    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=False, timestamp=0 if exact else 3)
    except Exception as error:
        raise PayloadError(f"this is no MessagePack: {error}", fate="rejected") from error


def shard_key(name: str, params: Any, meta: Mapping[str, Any] | None) -> str | None:
    """What a call is sharded by: a name in its parameters, or in its meta with `#` before it; parts by dots."""
    value: Any = meta if name.startswith("#") else params
    for part in name.removeprefix("#").split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
