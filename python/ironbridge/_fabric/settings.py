"""How a connector is set up: what is given, then the environment, then the default."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import _engine
from ..errors import ConfigurationError
from .errors import IdentityError

DEFAULT_URI = "amqp://guest:guest@localhost/"


def native(
    uri: str | None,
    domain: str,
    kind: str,
    service_id: str,
    *,
    version: str | None,
    keep_alive: float | None,
    time_to_live: float,
    discovery_exchange: str | None,
    tls: tuple[str | Path | None, str | Path | None, str | Path | None],
    codec: str,
    workers: int | None,
    compatible: bool,
) -> _engine._FabricSetup:
    """What the engine is given.

    Raises:
        ConfigurationError: something cannot be.
    """
    ca, certificate, key = tls
    return {
        "uri": text("amqp_uri", DEFAULT_URI if uri is None else uri),
        "domain": part("service_domain", domain),
        "kind": part("service_type", kind),
        "id": part("service_id", service_id),
        "version": None if version is None else text("service_version", version),
        "keep_alive": keep_alive,
        "time_to_live": time_to_live,
        "discovery_exchange": text(
            "discovery_exchange", discovery_exchange or os.environ.get("DISCOVERY_EXCHANGE_NAME") or "msc.discovery"
        ),
        "data_suffix": os.environ.get("DATA_EXCHANGE_NAME") or "data",
        "tls_ca": file("tls_ca", ca),
        "tls_cert": file("tls_cert", certificate),
        "tls_key": file("tls_key", key),
        "codec": text("codec", codec),
        "compatible": compatible,
        "workers": min(32, (os.cpu_count() or 1) + 4) if workers is None else count("workers", workers),
        "exchanges": None,
    }


_PART = re.compile(r"[A-Za-z0-9_-]{1,63}")


def part(name: str, value: object) -> str:
    """A part of an identity, or a domain.

    Raises:
        IdentityError: it cannot be.
    """
    if not isinstance(value, str) or not _PART.fullmatch(value):
        raise IdentityError(f"{name} is a text of 1 to 63 of A-Z, a-z, 0-9, - and _, not {value!r}")
    return value


def wanted(name: str, value: object) -> str | None:
    """What is looked for in others; they may be of other make, and called otherwise than ours can be."""
    return None if value is None else text(name, value)


def function(name: str, value: object) -> None:
    """What is called."""
    if not callable(value):
        raise ConfigurationError(f"{name} is a function, not {value!r}")


def text(name: str, value: object) -> str:
    """A text that is given."""
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} is a text, not {value!r}")
    return value


def file(name: str, value: object) -> str | Path | None:
    """A file that may be given."""
    if value is None or (isinstance(value, (str, Path)) and str(value)):
        return value
    raise ConfigurationError(f"{name} is the path of a file, not {value!r}")


def headers(value: object) -> dict[str, Any]:
    """Headers that are given."""
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"headers are a dict of what is said, not {value!r}")
    return dict(value)


_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def level(value: object) -> str:
    """A level that log records are followed from."""
    if not isinstance(value, str) or value.upper() not in _LEVELS:
        raise ConfigurationError(f"level is one of {', '.join(_LEVELS)}, not {value!r}")
    return value.upper()


def count(name: str, value: object, most: int = 65_535) -> int:
    """A number of things, from 1 up."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ConfigurationError(f"{name} is a whole number from 1 to {most}, not {value!r}")
    return value


def seconds(name: str, value: object, least: float = 0.0) -> float:
    """A time in seconds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < 1e9:
        raise ConfigurationError(f"{name} is a time in seconds from {least} up, not {value!r}")
    return float(value)


def keep_alive(value: object) -> float | None:
    """How often a service says that it is there; the originals take True for 1, and nothing or less for never."""
    if value is None or value is False or (isinstance(value, (int, float)) and value <= 0):
        return None
    return 1.0 if value is True else seconds("keep_alive_seconds", value, 0.01)


def time_to_live(given: object) -> float:
    """How long a service is listed after it was last heard; env `DISCOVERY_CACHE_TTL`."""
    if given is not None:
        return seconds("discovery_cache_ttl", given, 0.01)
    return seconds("DISCOVERY_CACHE_TTL", _number("DISCOVERY_CACHE_TTL", 5.0), 0.01)


def bounds(given: Mapping[str, float] | None, **named: float | None) -> dict[str, float]:
    """The engine's bounds: options, then those that have an argument of their own, then the originals' environment."""
    found: dict[str, float] = {}
    if "MAX_DISCOVERY_CACHE_ENTRIES" in os.environ:
        found["max_services"] = _number("MAX_DISCOVERY_CACHE_ENTRIES", 0.0)
    found.update({name: float(value) for name, value in named.items() if value is not None})
    if given is not None and not isinstance(given, Mapping):
        raise ConfigurationError(f"options is a dict of bounds by their names, not {given!r}")
    for name, value in (given or {}).items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ConfigurationError(f"options[{name!r}] is a number, not {value!r}")
        found[name] = float(value)
    return found


def _number(variable: str, default: float) -> float:
    said = os.environ.get(variable)
    if said is None:
        return default
    try:
        return float(said)
    except ValueError:
        raise ConfigurationError(f"{variable}={said!r} in the environment is no number") from None
