"""Logging in, refreshing and logging out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from ...errors import AuthenticationError
from ..core.providing import Token
from .blacklist import TokenBlackListService
from .tokens import AuthConfig, Claims, Use, read, sign


@dataclass(frozen=True)
class IdentityTokens:
    """What a login gives.

    Attributes:
        access_token: identifies, for a while.
        refresh_token: can be exchanged for new ones, once.
        expires_in: seconds that the first is good for.
    """

    access_token: str
    refresh_token: str
    expires_in: float
    token_type: str = "bearer"


class IdentityService:
    """Gives tokens, and knows whom they identify. It is made of the application's `AuthConfig` (under
    `Token(AuthConfig, "AUTH_CONFIG")`) and `TokenBlackListService`."""

    def __init__(
        self,
        config: Annotated[AuthConfig, Token(AuthConfig, "AUTH_CONFIG")],
        black_list: TokenBlackListService,
    ) -> None:
        self._config, self._black_list = config, black_list

    def log_in(self, subject: str, data: Mapping[str, Any] | None = None) -> IdentityTokens:
        """Tokens of somebody whose password, or whatever it is, was found right."""
        return IdentityTokens(
            sign(self._config, subject, "access", data),
            sign(self._config, subject, "refresh", data),
            self._config.identity_token_expires_delta_seconds,
        )

    async def identify(self, access_token: str) -> Claims:
        """Whom a token identifies.

        Raises:
            AuthenticationError: nobody.
        """
        return await self._read(access_token, "access")

    async def refresh(self, refresh_token: str) -> IdentityTokens:
        """New tokens for an old one, which is good for nothing any more.

        Raises:
            AuthenticationError: it is none, is over, or was used or revoked.
        """
        claims = await self._read(refresh_token, "refresh")
        await self._black_list.revoke(claims.token_id, claims.expires_at)
        return self.log_in(claims.subject, claims.data)

    async def revoke(self, *tokens: str) -> None:
        """Has tokens of either kind be good for nothing any more; what is no token is passed over."""
        for token in tokens:
            uses: tuple[Use, ...] = ("access", "refresh")
            for use in uses:
                try:
                    claims = read(self._config, token, use)
                except AuthenticationError:
                    continue
                await self._black_list.revoke(claims.token_id, claims.expires_at)

    async def _read(self, token: str, use: Use) -> Claims:
        claims = read(self._config, token, use)
        if await self._black_list.is_revoked(claims.token_id):
            raise AuthenticationError("this token was revoked: log in again")
        return claims
