"""Tasks: over HTTP, on the message bus, by schedule, and live on websockets."""

import socket
from collections.abc import Sequence
from typing import Annotated, Literal, Protocol
from uuid import UUID, uuid4

from fastapi import WebSocket, WebSocketDisconnect
from ironbridge.app import (
    BearerMiddleware,
    CRUDOperations,
    DatedEntity,
    Delete,
    Get,
    Identifiable,
    IdentifiableEntity,
    IncomingHandler,
    Message,
    MessageBusController,
    Post,
    RegisterWebSocketMessage,
    RestController,
    ScheduledAction,
    UseMiddleware,
    WebSocketEndpoint,
    WebSocketMessage,
    use_publisher,
    use_session,
    use_ws_manager,
)
from names import generate_random_name
from pydantic import BaseModel, Field
from settings import SCHEDULE
from sqlalchemy import select
from sqlalchemy.orm import Mapped

TaskId = UUID


class TaskSchema(BaseModel):
    """What is to be done."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    done: bool = False


class TaskEntity(IdentifiableEntity, DatedEntity):
    """A task in the database."""

    __tablename__ = "tasks"

    name: Mapped[str]
    done: Mapped[bool]


class TaskChanged(WebSocketMessage):
    """What pages hear of a task."""

    MESSAGE_ID = "task.changed"

    task_id: TaskId
    name: str
    state: Literal["waiting", "done", "deleted"]


class Tasks(Protocol):
    """Where tasks are kept: the port. The database is one adapter, the tests' dict another."""

    async def all(self) -> Sequence[TaskEntity]:
        """All, the newest first."""

    async def create(self, entity: TaskEntity) -> TaskEntity:
        """Keeps one."""

    async def get(self, id: TaskId) -> TaskEntity:
        """One of them."""

    async def delete_by_id(self, id: TaskId) -> None:
        """Lets one go."""


class TasksInDatabase(CRUDOperations[TaskEntity]):
    """The adapter of the database, in the unit of work's own transaction."""

    def __init__(self) -> None:
        super().__init__(TaskEntity)

    async def all(self) -> Sequence[TaskEntity]:
        """All, the newest first."""
        return (await use_session().scalars(select(TaskEntity).order_by(TaskEntity.created_at.desc()))).all()


class Counter:
    """How many websockets are open here."""

    def __init__(self) -> None:
        self.count = 0

    def increment(self) -> None:
        """One more."""
        self.count += 1

    def decrement(self) -> None:
        """One less."""
        self.count -= 1


counter = Counter()


@MessageBusController()
@RestController("/tasks")
@RegisterWebSocketMessage(TaskChanged)
class TasksController:
    """The controller of the document, with all that it calls."""

    def __init__(self, tasks: Tasks) -> None:
        self.tasks_crud = tasks
        self.hostname = socket.gethostname()

    @Get("/")
    @UseMiddleware(BearerMiddleware)
    async def list_tasks(self) -> list[Identifiable[TaskSchema]]:
        """All tasks, the newest first."""
        return [one.to_identifiable(TaskSchema) for one in await self.tasks_crud.all()]

    @Post("/")
    @UseMiddleware(BearerMiddleware)
    async def create_task(self, task: TaskSchema) -> Identifiable[TaskSchema]:
        """Makes a task, which a worker does."""
        return await self._add(task)

    @Delete("/{task_id}")
    @UseMiddleware(BearerMiddleware)
    async def delete_task(self, task_id: TaskId) -> None:
        """Lets a task go."""
        entity = await self.tasks_crud.get(task_id)
        await self.tasks_crud.delete_by_id(task_id)
        await TaskChanged(task_id=task_id, name=entity.name, state="deleted").send("tasks")

        await use_ws_manager().broadcast(f"Task {task_id} deleted".encode())

    @IncomingHandler("task")
    async def process_task(self, message: Message[Identifiable[TaskSchema]]) -> None:
        """Does a task: by a worker, or by the server where the bus is in process."""
        task = message.payload()
        print("Processing task: ", task.data.name)
        entity = await self.tasks_crud.get(task.id)
        entity.done = True
        await TaskChanged(task_id=task.id, name=entity.name, state="done").send("tasks")
        print("Task Finished: ", task.data.name)

    @ScheduledAction(SCHEDULE, allow_overlap=False)
    async def scheduled_task(self) -> None:
        """A task that appears by itself."""
        await self._add(TaskSchema(name=generate_random_name()))

    @WebSocketEndpoint("/ws")
    async def ws_endpoint(self, websocket: WebSocket) -> None:
        """A page that listens."""
        await websocket.accept()
        counter.increment()
        await use_ws_manager().add_websocket(websocket)
        await use_ws_manager().join(["tasks"], websocket)
        await use_ws_manager().broadcast(f"New Connection ({counter.count}) from {self.hostname}".encode())

        while True:
            try:
                await websocket.receive_text()
            except WebSocketDisconnect:
                counter.decrement()
                await use_ws_manager().remove_websocket(websocket)

                await use_ws_manager().broadcast(f"Connection Closed ({counter.count}) from {self.hostname}".encode())
                break

    async def _add(self, task: TaskSchema) -> Identifiable[TaskSchema]:
        made = Identifiable[TaskSchema](id=uuid4(), data=task)
        await self.tasks_crud.create(TaskEntity.from_identifiable(made))
        # Committed with the task, and sent after: nobody is told of a task that is not there.
        await use_publisher().publish(message=made, topic="task")
        await TaskChanged(task_id=made.id, name=task.name, state="waiting").send("tasks")
        return made
