"""What a user should know before it hurts."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterable

_warned: set[str] = set()


def about_open_endpoints(endpoints: Iterable[str], secret: str | None, log: logging.Logger) -> None:
    """Warns once of endpoints that listen for other machines without a secret."""
    if secret is not None:
        return
    for endpoint in endpoints:
        if is_open(endpoint) and endpoint not in _warned:
            _warned.add(endpoint)
            log.warning(
                "whoever reaches %s can send to every service here and hear all of them: listen on 127.0.0.1 or ipc://, "
                "or give the hub and its services a secret (secret=..., which peers other than Ironbridge cannot tell)",
                endpoint,
            )


def is_open(endpoint: str) -> bool:
    """Whether other machines may reach what listens there."""
    scheme, _, address = endpoint.partition("://")
    if scheme != "tcp":
        return False
    host = address.rpartition(":")[0].strip("[]")
    if host in ("", "*"):
        return True
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"
