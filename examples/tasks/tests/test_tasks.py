"""The controller alone: no HTTP, no broker, no database. What it needs is given to it, as the application would."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from ironbridge.app import (
    Container,
    Identifiable,
    MessagePublisher,
    Microservice,
    ProviderSpec,
    provide_publisher,
    provide_ws_manager,
)
from tasks import TaskEntity, Tasks, TaskSchema, TasksController


class TasksInDict:
    """The port's other adapter."""

    def __init__(self) -> None:
        self.kept: dict[UUID, TaskEntity] = {}

    async def all(self) -> Sequence[TaskEntity]:
        return list(self.kept.values())

    async def create(self, entity: TaskEntity) -> TaskEntity:
        self.kept[entity.id] = entity
        return entity

    async def get(self, id: UUID) -> TaskEntity:
        return self.kept[id]

    async def delete_by_id(self, id: UUID) -> None:
        del self.kept[id]


class Heard:
    """A bus, and websockets, that keep what they are given."""

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes]] = []
        self.sent: list[Any] = []

    async def publish(self, message: Any) -> None:
        self.published.append((message.topic, message.body))

    async def send(self, rooms: Sequence[str], message: Any) -> None:
        self.sent.append((rooms, message.state))

    async def broadcast(self, message: bytes) -> None:
        self.sent.append(message.decode())


@asynccontextmanager
async def controller() -> AsyncIterator[tuple[TasksController, Heard, TasksInDict]]:
    """A controller as the container makes it, with a provider overridden."""
    heard, kept = Heard(), TasksInDict()
    container = Container(Microservice(providers=[ProviderSpec(provide=Tasks, use_value=kept)]))
    await container.fill_providers(after_interceptors=False)
    publisher = MessagePublisher(heard)  # type: ignore[arg-type]
    with provide_publisher(publisher), provide_ws_manager(heard):  # type: ignore[arg-type]
        yield await container.provide(TasksController), heard, kept
        await publisher.flush()


class Given:
    """A message, as a handler gets it."""

    def __init__(self, task: Identifiable[TaskSchema]) -> None:
        self._task = task

    def payload(self) -> Identifiable[TaskSchema]:
        return self._task


def test_a_task_is_kept_published_and_shown() -> None:
    async def run() -> None:
        async with controller() as (tasks, heard, kept):
            made = await tasks.create_task(TaskSchema(name="Mend the bridge"))
        assert [one.name for one in kept.kept.values()] == ["Mend the bridge"]
        assert heard.published == [("task", made.model_dump_json().encode())]
        assert heard.sent == [(["tasks"], "waiting")]

    asyncio.run(run())


def test_a_task_that_is_processed_is_done() -> None:
    async def run() -> None:
        async with controller() as (tasks, heard, kept):
            made = await tasks.create_task(TaskSchema(name="Mend the bridge"))
            await tasks.process_task(Given(made))  # type: ignore[arg-type]
        assert kept.kept[made.id].done and heard.sent[-1] == (["tasks"], "done")

    asyncio.run(run())


def test_a_task_that_is_deleted_is_gone_and_all_are_told() -> None:
    async def run() -> None:
        async with controller() as (tasks, heard, kept):
            task_id = uuid4()
            await kept.create(TaskEntity(id=task_id, name="Fold the laundry", done=False))
            await tasks.delete_task(task_id)
        assert kept.kept == {} and heard.sent[-1] == f"Task {task_id} deleted"

    asyncio.run(run())


def test_a_task_appears_by_schedule() -> None:
    async def run() -> None:
        async with controller() as (tasks, heard, kept):
            await tasks.scheduled_task()
        assert len(kept.kept) == len(heard.published) == 1

    asyncio.run(run())
