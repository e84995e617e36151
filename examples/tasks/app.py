"""The parts put together: one application, whose processes are the server, and, beside it, workers and a beat."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from ironbridge.app import (
    AIOPikaConnectionFactory,
    AIOSQAConfig,
    AIOSqlAlchemySessionInterceptor,
    AuthConfig,
    BaseEntity,
    HttpMicroservice,
    InMemoryTokenBlackListService,
    MessageBusPublisherInterceptor,
    Microservice,
    ProviderSpec,
    RedisMessageBrokerBackend,
    RedisTokenBlackListService,
    RedisWebSocketConnectionBackend,
    Token,
    TokenBlackListService,
    WebSocketInterceptor,
    create_http_server,
    create_tables,
)
from login import LoginController
from settings import AppConfig
from tasks import Tasks, TasksController, TasksInDatabase

config = AppConfig.provider()


def bus() -> MessageBusPublisherInterceptor:
    """In process, or at RabbitMQ."""
    backend = RedisMessageBrokerBackend(config.redis_url) if config.redis_url else None
    return MessageBusPublisherInterceptor(AIOPikaConnectionFactory(config.bus_url, message_broker_backend=backend))


def websockets() -> WebSocketInterceptor:
    """Within one process, or across all."""
    return WebSocketInterceptor(RedisWebSocketConnectionBackend(config.redis_url) if config.redis_url else None)


class DatabaseInterceptor(AIOSqlAlchemySessionInterceptor):
    """The database, whose tables are made where they are missing."""

    @asynccontextmanager
    async def lifecycle(self, *given: Any) -> AsyncIterator[None]:
        """Makes them at start-up."""
        await create_tables(self.engine, BaseEntity.metadata)
        async with super().lifecycle(*given):
            yield


app = Microservice(
    providers=[
        ProviderSpec(
            provide=Token(AuthConfig, "AUTH_CONFIG"),
            use_value=AuthConfig(
                secret=config.secret,
                identity_refresh_token_expires_delta_seconds=60 * 60 * 24 * 30,
                identity_token_expires_delta_seconds=60 * 60,
            ),
        ),
        ProviderSpec(
            provide=Token(AppConfig, "APP_CONFIG"),
            use_factory=AppConfig.provider,
        ),
        ProviderSpec(
            provide=TokenBlackListService,
            use_value=RedisTokenBlackListService(config.redis_url)
            if config.redis_url
            else InMemoryTokenBlackListService(),
        ),
        ProviderSpec(provide=Tasks, use_class=TasksInDatabase),
    ],
    controllers=[TasksController, LoginController],
    interceptors=[
        bus(),
        websockets(),
        DatabaseInterceptor(AIOSQAConfig(connection_name="default", url=config.database_url)),
    ],
)


def with_pages(lifespan: Any) -> FastAPI:
    """The page, beside the endpoints."""
    fastapi = FastAPI(title="Tasks", lifespan=lifespan)
    fastapi.mount("/page", StaticFiles(directory=Path(__file__).with_name("web"), html=True), "page")
    return fastapi


# App for specific Http Configuration Context
http_app = HttpMicroservice(app, factory=with_pages)

web_app = create_http_server(http_app)
