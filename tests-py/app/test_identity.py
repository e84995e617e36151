"""Logging in, and settings from the environment."""

from __future__ import annotations

import time
from typing import Annotated, Any

import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from harness import Redis, wait_until
from ironbridge.app import (
    AppConfigurationInterceptor,
    AppConfigValidationError,
    AuthConfig,
    BearerMiddleware,
    Get,
    IdentityService,
    InMemoryTokenBlackListService,
    Microservice,
    Post,
    ProviderSpec,
    RedisTokenBlackListService,
    RequiresConfig,
    RestController,
    Token,
    TokenBlackListService,
    UseMiddleware,
    create_http_server,
    raises_401_on,
)
from ironbridge.errors import AuthenticationError, ConfigurationError
from pydantic import BaseModel


class Credentials(BaseModel):
    name: str
    password: str


@RestController("/auth")
class Auth:
    def __init__(self, identity: IdentityService) -> None:
        self.identity = identity

    @Post("/login")
    async def login(self, credentials: Credentials) -> dict[str, Any]:
        with raises_401_on(AuthenticationError):
            if credentials.password != "right":
                raise AuthenticationError("wrong password")
            return vars(self.identity.log_in(credentials.name, {"role": "user"}))

    @Post("/refresh")
    async def refresh(self, token: str) -> dict[str, Any]:
        with raises_401_on(AuthenticationError):
            return vars(await self.identity.refresh(token))

    @Post("/logout")
    async def logout(self, access: str, refresh: str) -> None:
        await self.identity.revoke(access, refresh, "no token at all")

    @Get("/me")
    @UseMiddleware(BearerMiddleware)
    async def me(self, request: Request) -> str:
        return f"{request.state.identity.subject}, {request.state.identity.data['role']}"


def served(**given: Any) -> TestClient:
    config = AuthConfig(secret="secret", **given)
    app = Microservice(
        providers=[
            ProviderSpec(provide=Token(AuthConfig, "AUTH_CONFIG"), use_value=config),
            ProviderSpec(provide=TokenBlackListService, use_value=InMemoryTokenBlackListService()),
        ],
        controllers=[Auth],
    )
    return TestClient(create_http_server(app))


def me(client: TestClient, token: str) -> Any:
    return client.get("/auth/me", headers={"authorization": f"Bearer {token}"})


def login(client: TestClient) -> dict[str, Any]:
    answer = client.post("/auth/login", json={"name": "ann", "password": "right"})
    found: dict[str, Any] = answer.json()
    return found


def test_who_has_logged_in_is_known_until_they_log_out() -> None:
    with served() as client:
        assert client.post("/auth/login", json={"name": "ann", "password": "wrong"}).status_code == 401
        tokens = login(client)
        assert me(client, tokens["access_token"]).json() == "ann, user"
        client.post("/auth/logout", params={"access": tokens["access_token"], "refresh": tokens["refresh_token"]})
        assert me(client, tokens["access_token"]).status_code == 401
        assert client.post("/auth/refresh", params={"token": tokens["refresh_token"]}).status_code == 401


def test_a_refresh_token_is_good_once_and_identifies_nobody() -> None:
    with served() as client:
        tokens = login(client)
        assert me(client, tokens["refresh_token"]).status_code == 401
        fresh = client.post("/auth/refresh", params={"token": tokens["refresh_token"]}).json()
        assert me(client, fresh["access_token"]).json() == "ann, user"
        assert client.post("/auth/refresh", params={"token": tokens["refresh_token"]}).status_code == 401


@pytest.mark.parametrize("spoilt", ["", "x", "a.b.c", "\u00e9.\u00e9.\u00e9", "x" * 10_000])
def test_what_is_no_token_is_refused(spoilt: str) -> None:
    with served() as client:
        token = login(client)["access_token"]
        assert me(client, token[:-2] + ("AA" if token[-2:] != "AA" else "BB")).status_code == 401
        assert client.get("/auth/me").status_code == 401
        answer = client.post("/auth/refresh", params={"token": spoilt})
        assert answer.status_code == 401


def test_a_token_of_another_secret_or_time_is_refused() -> None:
    with served(identity_token_expires_delta_seconds=0.05) as client:
        token = login(client)["access_token"]
        wait_until(lambda: me(client, token).status_code == 401)
        assert "over" in me(client, token).json()["detail"]
    from ironbridge._app.auth.tokens import read, sign

    with pytest.raises(AuthenticationError, match="not signed here"):
        read(AuthConfig("other"), sign(AuthConfig("secret"), "ann", "access"), "access")
    with pytest.raises(ConfigurationError, match="empty"):
        AuthConfig("")
    assert "hush" not in repr(AuthConfig("hush"))


async def test_a_token_that_was_revoked_is_known_to_all_processes_at_a_redis(redis: Redis) -> None:
    one, other = (RedisTokenBlackListService(f"redis://{redis.host}:{redis.port}/8") for _ in range(2))
    await one.revoke("token", time.time() + 60)
    assert await other.is_revoked("token") and not await other.is_revoked("another")


# ---- settings ----------------------------------------------------------------------------------------------


class Settings(BaseModel):
    database_url: str
    workers: int = 2


SETTINGS = Token(Settings, "SETTINGS")


@RestController("/settings")
@RequiresConfig("mail", Settings)
class Reads:
    def __init__(self, settings: Annotated[Settings, SETTINGS]) -> None:
        self.settings = settings

    @Get("/")
    async def read(self) -> Settings:
        return self.settings


def with_settings() -> TestClient:
    interceptor = AppConfigurationInterceptor([(SETTINGS, Settings)])
    return TestClient(create_http_server(Microservice(controllers=[Reads], interceptors=[interceptor])))


def test_settings_are_read_from_the_environment_and_provided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite://")
    monkeypatch.setenv("workers", "7")
    with with_settings() as client:
        assert client.get("/settings/").json() == {"database_url": "sqlite://", "workers": 7}


def test_all_that_is_missing_or_wrong_is_told_at_once_and_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("WORKERS", "hunter2")
    with pytest.raises(AppConfigValidationError) as raised, with_settings():
        pass
    assert set(raised.value.errors) == {"Token(Settings, 'SETTINGS')", "mail"}
    assert "database_url: Field required" in str(raised.value)
    assert "hunter2" not in str(raised.value)
