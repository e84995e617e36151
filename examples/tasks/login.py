"""Logging in, going on, and logging out."""

import hmac
from typing import Annotated

from fastapi import Request
from ironbridge.app import (
    BearerMiddleware,
    Get,
    IdentityService,
    IdentityTokens,
    Post,
    RestController,
    Token,
    UseMiddleware,
    raises_401_on,
)
from ironbridge.errors import AuthenticationError
from pydantic import BaseModel
from settings import AppConfig


class Credentials(BaseModel):
    """Who somebody says they are."""

    name: str
    password: str


class Tokens(BaseModel):
    """What identifies for an hour, and what is exchanged for more."""

    access_token: str
    refresh_token: str
    expires_in: float

    @classmethod
    def of(cls, tokens: IdentityTokens) -> "Tokens":
        """These."""
        return cls(access_token=tokens.access_token, refresh_token=tokens.refresh_token, expires_in=tokens.expires_in)


class Revoked(BaseModel):
    """Tokens that are to be good for nothing any more."""

    access_token: str
    refresh_token: str


@RestController("/login")
class LoginController:
    """Gives tokens, and takes them back."""

    def __init__(self, identity: IdentityService, config: Annotated[AppConfig, Token(AppConfig, "APP_CONFIG")]) -> None:
        self.identity, self.config = identity, config

    @Post("/")
    async def login(self, credentials: Credentials) -> Tokens:
        """Tokens for whoever knows the password."""
        with raises_401_on(AuthenticationError):
            if not hmac.compare_digest(credentials.password.encode(), self.config.password.encode()):
                raise AuthenticationError("wrong name or password")
            return Tokens.of(self.identity.log_in(credentials.name))

    @Post("/refresh")
    async def refresh(self, refresh_token: str) -> Tokens:
        """New tokens for an old one, once."""
        with raises_401_on(AuthenticationError):
            return Tokens.of(await self.identity.refresh(refresh_token))

    @Post("/revoke")
    async def revoke(self, tokens: Revoked) -> None:
        """Logs out."""
        await self.identity.revoke(tokens.access_token, tokens.refresh_token)

    @Get("/me")
    @UseMiddleware(BearerMiddleware)
    async def me(self, request: Request) -> str:
        """Who has logged in."""
        return str(request.state.identity.subject)
