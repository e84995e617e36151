"""Bearer tokens of requests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Header, HTTPException, Request

from ...errors import AuthenticationError
from .service import IdentityService


class BearerMiddleware:
    """A middleware (`UseMiddleware`) that answers 401 to requests without a good token; of the others,
    `request.state.identity` tells whose they are."""

    def __init__(self, service: IdentityService) -> None:
        self._service = service

    async def intercept(
        self, request: Request, authorization: Annotated[str | None, Header()] = None
    ) -> AsyncIterator[None]:
        """One request."""
        scheme, _, token = (authorization or "").partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise AuthenticationError("no bearer token: send `Authorization: Bearer …`")
            request.state.identity = await self._service.identify(token.strip())
        except AuthenticationError as error:
            raise HTTPException(401, str(error), {"WWW-Authenticate": "Bearer"}) from error
        yield
