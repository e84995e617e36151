"""Where a client of Redis connects to, for the engine."""

from __future__ import annotations

import inspect
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ... import _engine

_FILES = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}
_CHECKS = ("ssl_cert_reqs", "ssl_check_hostname")


def address_of(client: Any) -> _engine._RedisAddress | None:
    """Where, and as whom, a client of `redis.asyncio` connects.

    Returns:
        None where only the client itself can: through Sentinel or a cluster, with credentials that change, with TLS
        that checks less or more than usual, or to no real Redis at all.
    """
    from redis.asyncio import connection as kinds

    pool: Any = getattr(client, "connection_pool", None)
    kind = getattr(pool, "connection_class", None)
    if type(pool) not in (kinds.ConnectionPool, kinds.BlockingConnectionPool):
        return None
    if kind not in (kinds.Connection, kinds.SSLConnection, kinds.UnixDomainSocketConnection):
        return None
    given: Mapping[str, Any] = pool.connection_kwargs
    user, password = given.get("username") or None, given.get("password") or None
    host = str(given["path"]) if kind is kinds.UnixDomainSocketConnection else given.get("host", "localhost")
    if (
        given.get("credential_provider") is not None
        or given.get("redis_connect_func") is not None
        or not all(isinstance(text, str | None) for text in (user, password))
        or (kind is kinds.UnixDomainSocketConnection) != host.startswith("/")
        or (kind is kinds.SSLConnection and not _is_usual(given, kind))
    ):
        return None
    certificate = given.get("ssl_certfile") or None
    return {
        "host": host,
        "port": int(given.get("port", 6379)),
        "database": int(given.get("db") or 0),
        "user": user,
        # Who has a name and no password says that it is empty.
        "password": "" if user and password is None else password,
        "tls": kind is kinds.SSLConnection,
        "tls_ca": given.get("ssl_ca_certs") or None,
        "tls_cert": certificate,
        "tls_key": given.get("ssl_keyfile") or certificate,
    }


def _is_usual(given: Mapping[str, Any], kind: type) -> bool:
    """Whether TLS is that of files alone, and the server's certificate and name are checked."""
    if any(given[name] for name in given.keys() - _FILES - set(_CHECKS) if name.startswith("ssl_")):
        return False
    # The defaults differ between versions of redis-py.
    parameters = inspect.signature(kind).parameters
    certificate, name = (given.get(check, parameters[check].default) for check in _CHECKS)
    return certificate in ("required", ssl.CERT_REQUIRED) and bool(name)
