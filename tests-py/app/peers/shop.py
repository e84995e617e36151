# A shop as an application of either make: FACE is `jararaca`, the original from PyPI, or `ironbridge.app`.
# Annotations are read when the class is made, which the original needs.
import importlib
import json
import os
from typing import Any

from redis.asyncio import Redis
from starlette.websockets import WebSocket

face: Any = importlib.import_module(os.environ["FACE"])


def told(**what: Any) -> None:
    """Adds a line to the log that the test reads."""
    with open(os.environ["LOG"], "a") as log:
        log.write(json.dumps(what) + "\n")


class Placed(face.Message):
    MESSAGE_TOPIC = "order.placed"
    number: int
    wish: str = "ok"


class Seen(face.Message):
    MESSAGE_TOPIC = "order.seen"
    MESSAGE_TYPE = "event"
    number: int


class Note(face.WebSocketMessage):
    MESSAGE_ID = "note"
    text_body: str


@face.MessageBusController()
@face.RestController("/orders")
class Orders:
    @face.Post("/{number}")
    async def place(self, number: int, wish: str = "ok") -> str:
        await Placed(number=number, wish=wish).publish()
        await Seen(number=number).publish()
        return "placed"

    @face.Post("/{number}/later")
    async def later(self, number: int, key: str, seconds: int = 1) -> str:
        await Placed(number=number).delay(seconds, idempotency_key=key)
        return "later"

    @face.MessageHandler(
        Placed,
        nack_on_exception=True,
        nack_delay_on_exception=0,
        retry_config=face.RetryPolicy(max_retries=2, initial_delay=1.0, jitter=False),
    )
    async def handle(self, message: face.MessageOf[Placed]) -> None:
        order, context = message.payload(), face.use_app_context()
        told(handled=order.number, wish=order.wish, attempt=context.processing_attempt, id=context.message_id)
        if order.wish == "once" and context.processing_attempt == 1:
            raise ValueError("not yet")
        if order.wish == "reject":
            await face.reject()


@face.RestController("/notes")
class Notes:
    @face.WebSocketEndpoint("/{room}")
    async def listen(self, websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        manager = face.use_ws_manager()
        await manager.add_websocket(websocket)
        await manager.join([room], websocket)
        await websocket.send_text("in")
        while True:
            await websocket.receive_text()

    @face.Post("/{room}")
    async def tell(self, room: str, text: str) -> str:
        if room == "all":
            await face.use_ws_manager().broadcast(text.encode())
        else:
            await face.use_ws_manager().send([room], Note(text_body=text))
        return "told"


def websockets() -> Any:
    """The interceptor; the original's must be made on the loop that serves."""
    client = Redis.from_url(os.environ["REDIS"])
    return face.WebSocketInterceptor(face.RedisWebSocketConnectionBackend(client, "ws:broadcast", "ws:send"))


backend = face.RedisMessageBrokerBackend(os.environ["REDIS"])
factory = face.AIOPikaConnectionFactory(os.environ["BUS"], "shop", message_broker_backend=backend)
bus = face.MessageBusPublisherInterceptor(factory, open_connection_at_end_of_transaction=True)
app = face.Microservice(controllers=[Orders, Notes], interceptors=[bus, websockets])

helper: Any = importlib.import_module(f"{os.environ['FACE']}.helpers.global_scheduler.controller")
scheduling = face.Microservice(controllers=[Orders, helper.GlobalSchedulerController], interceptors=[bus])
