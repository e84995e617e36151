"""The files of a new project, with `$name`, `$package`, `$description` and `$python` in them."""

from __future__ import annotations

FILES: dict[str, str] = {
    "pyproject.toml": """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "$name"
version = "0.1.0"
description = "$description"
requires-python = ">=$python"
dependencies = ["ironbridge[app,cli]"]

[project.optional-dependencies]
test = ["pytest", "pytest-asyncio"]

[tool.hatch.build.targets.wheel]
packages = ["src/$package"]

[tool.pytest.ini_options]
pythonpath = ["src"]
asyncio_mode = "auto"
""",
    "README.md": """\
# $name

$description

    pip install -e '.[test]'
    ironbridge app server $package.app:app     # http://localhost:8000/docs; messages and schedule in process
    pytest

With RabbitMQ and Redis (`docker compose up -d`), in processes of their own:

    export BUS_URL='amqp://guest:guest@localhost/?exchange=$package'
    ironbridge app server $package.app:app
    ironbridge app worker $package.app:app --broker-url "$$BUS_URL" --backend-url redis://localhost
    ironbridge app beat   $package.app:app --broker-url "$$BUS_URL" --backend-url redis://localhost
""",
    ".gitignore": "__pycache__/\n*.sqlite3\n.venv/\ndist/\n",
    "compose.yaml": """\
services:
  rabbitmq:
    image: rabbitmq:3-management
    ports: ["5672:5672", "15672:15672"]
  redis:
    image: redis:7
    ports: ["6379:6379"]
""",
    "src/$package/__init__.py": '"""$description"""\n',
    "src/$package/settings.py": '''\
"""What is set by the environment."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """The settings."""

    database_url: str
    bus_url: str

    @classmethod
    def from_environment(cls) -> "Settings":
        """Those of this process."""
        return cls(
            database_url=os.environ.get("DATABASE_URL", "sqlite+aiosqlite:///$package.sqlite3"),
            bus_url=os.environ.get("BUS_URL", "memory://$package"),
        )
''',
    "src/$package/entities.py": '''\
"""What is kept."""

from ironbridge.app import DatedEntity, IdentifiableEntity
from sqlalchemy.orm import Mapped


class TaskEntity(IdentifiableEntity, DatedEntity):
    """A task."""

    __tablename__ = "tasks"

    name: Mapped[str]
    done: Mapped[bool]
''',
    "src/$package/schemas.py": '''\
"""What is said."""

from uuid import UUID

from ironbridge.app import Message
from pydantic import BaseModel


class Task(BaseModel):
    """A task."""

    name: str
    done: bool = False


class TaskMade(Message):
    """A task was made."""

    MESSAGE_TOPIC = "task.made"

    id: UUID
''',
    "src/$package/controllers/__init__.py": '"""The endpoints and handlers."""\n',
    "src/$package/controllers/health.py": '''\
"""Whether it is well."""

from ironbridge.app import Get, RestController


@RestController("/health")
class HealthController:
    """Whether it is well."""

    @Get("/")
    async def health(self) -> dict[str, str]:
        """It answers."""
        return {"status": "ok"}
''',
    "src/$package/controllers/tasks.py": '''\
"""Tasks: made, listed and removed over HTTP, and looked after when they are made."""

import logging
from uuid import UUID

from ironbridge.app import (
    CRUDOperations,
    Delete,
    Get,
    Identifiable,
    MessageBusController,
    MessageHandler,
    MessageOf,
    Paginated,
    PaginatedFilter,
    Post,
    QueryOperations,
    RestController,
    ScheduledAction,
)

from $package.entities import TaskEntity
from $package.schemas import Task, TaskMade

log = logging.getLogger(__name__)


@MessageBusController()
@RestController("/tasks")
class TasksController:
    """Tasks."""

    def __init__(self) -> None:
        self.tasks = CRUDOperations(TaskEntity)
        self.queries = QueryOperations[PaginatedFilter, TaskEntity](TaskEntity)

    @Post("/", options={"status_code": 201})
    async def make(self, task: Task) -> Identifiable[Task]:
        """Makes a task, and tells of it."""
        entity = await self.tasks.create(TaskEntity.from_basemodel(task))
        await TaskMade(id=entity.id).publish()
        return entity.to_identifiable(Task)

    @Get("/")
    async def list(self, page: int = 0, page_size: int = 10) -> Paginated[Identifiable[Task]]:
        """Lists tasks."""
        found = await self.queries.query(PaginatedFilter(page=page, page_size=page_size))
        return found.transform(lambda entity: entity.to_identifiable(Task))

    @Delete("/{task_id}")
    async def remove(self, task_id: UUID) -> None:
        """Removes a task."""
        await self.tasks.delete_by_id(task_id)

    @MessageHandler(TaskMade)
    async def made(self, message: MessageOf[TaskMade]) -> None:
        """Looks after a task that was made."""
        task = await self.tasks.get(message.payload().id)
        log.info("there is a new task: %s", task.name)

    @ScheduledAction("*/5 * * * *")
    async def tick(self) -> None:
        """Runs every five minutes."""
        log.info("all is well")
''',
    "src/$package/app.py": '''\
"""The application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ironbridge.app import (
    AIOSQAConfig,
    AIOSqlAlchemySessionInterceptor,
    AppTransactionContext,
    BaseEntity,
    Container,
    MessageBusPublisherInterceptor,
    Microservice,
    create_http_server,
    create_tables,
)

from $package.controllers.health import HealthController
from $package.controllers.tasks import TasksController
from $package.settings import Settings

settings = Settings.from_environment()
database = AIOSqlAlchemySessionInterceptor(AIOSQAConfig(url=settings.database_url))


class Tables:
    """Makes the tables that are not there yet; migrations are the better way once there is data."""

    @asynccontextmanager
    async def lifecycle(self, app: Microservice, container: Container) -> AsyncIterator[None]:
        await create_tables(database.engine, BaseEntity.metadata)
        yield

    @asynccontextmanager
    async def intercept(self, app_context: AppTransactionContext) -> AsyncIterator[None]:
        yield


app = Microservice(
    controllers=[HealthController, TasksController],
    interceptors=[MessageBusPublisherInterceptor(settings.bus_url), database, Tables()],
)
web_app = create_http_server(app)
''',
    "tests/test_tasks.py": '''\
"""The application, over HTTP."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from $package.app import web_app


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(web_app) as client:
        yield client


def test_a_task_that_was_made_is_listed_until_it_is_removed(client: TestClient) -> None:
    made = client.post("/tasks/", json={"name": "write a test"})
    assert made.status_code == 201
    ids = [task["id"] for task in client.get("/tasks/", params={"page_size": 100}).json()["items"]]
    assert made.json()["id"] in ids
    assert client.delete(f"/tasks/{made.json()['id']}").status_code == 200


def test_it_is_well(client: TestClient) -> None:
    assert client.get("/health/").json() == {"status": "ok"}
''',
}

ENTITY = '''\
"""$Name: its entity, its schemas, and a controller that makes, finds, changes and removes it."""

from uuid import UUID

from ironbridge.app import (
    CRUDOperations,
    DatedEntity,
    Delete,
    Get,
    Identifiable,
    IdentifiableEntity,
    Paginated,
    PaginatedFilter,
    Post,
    Put,
    QueryOperations,
    RestController,
    raises_404_on,
)
from pydantic import BaseModel
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import Mapped


class ${Name}Entity(IdentifiableEntity, DatedEntity):
    """What is kept."""

    __tablename__ = "$table"

    name: Mapped[str]


class $Name(BaseModel):
    """What is said."""

    name: str


class ${Name}Filter(PaginatedFilter):
    """What is asked for."""


@RestController("/$path")
class ${Name}Controller:
    """Makes, finds, changes and removes."""

    def __init__(self) -> None:
        self.crud = CRUDOperations(${Name}Entity)
        self.queries = QueryOperations[${Name}Filter, ${Name}Entity](${Name}Entity)

    @Post("/")
    async def create(self, data: $Name) -> Identifiable[$Name]:
        """Makes one."""
        entity = await self.crud.create(${Name}Entity.from_basemodel(data))
        return entity.to_identifiable($Name)

    @Get("/{id}")
    async def get(self, id: UUID) -> Identifiable[$Name]:
        """Finds one."""
        with raises_404_on(NoResultFound):
            return (await self.crud.get(id)).to_identifiable($Name)

    @Post("/query")
    async def query(self, filter: ${Name}Filter) -> Paginated[Identifiable[$Name]]:
        """Finds some."""
        return (await self.queries.query(filter)).transform(lambda entity: entity.to_identifiable($Name))

    @Put("/{id}")
    async def update(self, id: UUID, data: $Name) -> None:
        """Changes one."""
        with raises_404_on(NoResultFound):
            await self.crud.update_by_id(id, data)

    @Delete("/{id}")
    async def delete(self, id: UUID) -> None:
        """Removes one."""
        await self.crud.delete_by_id(id)
'''
