"""Tokens of identity: signed by HMAC-SHA256, as JSON Web Tokens (RFC 7519) are."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ...errors import AuthenticationError, ConfigurationError

Use = Literal["access", "refresh"]

_HEADER = b'{"alg":"HS256","typ":"JWT"}'
_LONGEST = 8192


@dataclass(frozen=True)
class AuthConfig:
    """How tokens are made.

    Args:
        secret: signs them; keep it, and keep it long.
        identity_token_expires_delta_seconds: how long one identifies.
        identity_refresh_token_expires_delta_seconds: how long one can be exchanged for new ones.

    Raises:
        ConfigurationError: a value cannot be.
    """

    secret: str
    identity_token_expires_delta_seconds: float = 3600
    identity_refresh_token_expires_delta_seconds: float = 30 * 24 * 3600

    def __post_init__(self) -> None:
        if not self.secret:
            raise ConfigurationError("AuthConfig: the secret is empty")
        if min(self.identity_token_expires_delta_seconds, self.identity_refresh_token_expires_delta_seconds) <= 0:
            raise ConfigurationError("AuthConfig: tokens are good for some seconds at least")

    def __repr__(self) -> str:
        return "AuthConfig(secret='[redacted]', …)"


@dataclass(frozen=True)
class Claims:
    """What a token says.

    Attributes:
        subject: whom it identifies.
        use: what it is good for.
        token_id: which one it is; what is revoked.
        expires_at: until when, in seconds since 1970.
        data: what else.
    """

    subject: str
    use: Use
    token_id: str
    expires_at: float
    data: Mapping[str, Any]


def sign(config: AuthConfig, subject: str, use: Use, data: Mapping[str, Any] | None = None) -> str:
    """A token."""
    lasts = (
        config.identity_token_expires_delta_seconds
        if use == "access"
        else config.identity_refresh_token_expires_delta_seconds
    )
    now = time.time()
    claims = {
        "sub": subject,
        "use": use,
        "jti": uuid.uuid4().hex,
        "iat": int(now),
        "exp": now + lasts,
        "data": dict(data or {}),
    }
    signed = b".".join((_encoded(_HEADER), _encoded(json.dumps(claims, separators=(",", ":")).encode())))
    return b".".join((signed, _encoded(_signature(config, signed)))).decode()


def read(config: AuthConfig, token: str, use: Use) -> Claims:
    """What a token says.

    Raises:
        AuthenticationError: it is none of ours, is over, or is for something else.
    """
    if len(token) > _LONGEST:
        raise AuthenticationError("this token is too long to be one")
    signed, _, signature = token.encode(errors="replace").rpartition(b".")
    if not hmac.compare_digest(_encoded(_signature(config, signed)), signature):
        raise AuthenticationError("this token was not signed here: log in again")
    try:
        header, _, payload = signed.partition(b".")
        if json.loads(_decoded(header)).get("alg") != "HS256":
            raise AuthenticationError("this token is signed in another way")
        told = json.loads(_decoded(payload))
        claims = Claims(str(told["sub"]), told["use"], str(told["jti"]), float(told["exp"]), told.get("data") or {})
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise AuthenticationError("this token cannot be read: log in again") from error
    if claims.expires_at <= time.time():
        raise AuthenticationError("this token is over: refresh it, or log in again")
    if claims.use != use:
        raise AuthenticationError(f"this token is for {claims.use}, not for {use}")
    return claims


def _signature(config: AuthConfig, signed: bytes) -> bytes:
    return hmac.new(config.secret.encode(), signed, hashlib.sha256).digest()


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decoded(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
