"""Tokens that were revoked before they were over."""

from __future__ import annotations

import time
from typing import Protocol

MOST = 1_000_000
"""Tokens that are kept in memory; those that would be over first give way."""


class TokenBlackListService(Protocol):
    """Knows which tokens were revoked."""

    async def revoke(self, token_id: str, expires_at: float) -> None:
        """Revokes a token, which is over at a time (seconds since 1970) anyhow."""

    async def is_revoked(self, token_id: str) -> bool:
        """Whether a token was revoked."""


class InMemoryTokenBlackListService:
    """That of one process: a restart forgets it, and other processes do not know it."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    async def revoke(self, token_id: str, expires_at: float) -> None:
        """Revokes a token."""
        now = time.time()
        if len(self._until) >= MOST or len(self._until) % 1000 == 999:
            self._until = {one: until for one, until in self._until.items() if until > now}
        self._until[token_id] = expires_at

    async def is_revoked(self, token_id: str) -> bool:
        """Whether a token was revoked."""
        return self._until.get(token_id, 0.0) > time.time()


class RedisTokenBlackListService:
    """That of all processes that meet at a Redis, which forgets tokens when they are over.

    Args:
        url: where it is.
        prefix: before the names of its keys.
    """

    def __init__(self, url: str, prefix: str = "ironbridge:revoked:") -> None:
        self._url, self._prefix = url, prefix

    async def revoke(self, token_id: str, expires_at: float) -> None:
        """Revokes a token."""
        from ..bus.backend import connect

        client = connect(self._url)
        try:
            await client.set(f"{self._prefix}{token_id}", 1, ex=max(1, int(expires_at - time.time()) + 1))
        finally:
            await client.aclose()

    async def is_revoked(self, token_id: str) -> bool:
        """Whether a token was revoked."""
        from ..bus.backend import connect

        client = connect(self._url)
        try:
            return bool(await client.exists(f"{self._prefix}{token_id}"))
        finally:
            await client.aclose()
