# mypy: disable-error-code="misc, untyped-decorator"
# The application that is measured, of either make: FACE is `jararaca`, the original from PyPI, or `ironbridge.app`.
# Annotations are read when classes are made, which the original needs.
import importlib
import os
import time
from typing import Any

from pydantic import BaseModel
from redis.asyncio import Redis
from starlette.websockets import WebSocket

face: Any = importlib.import_module(os.environ["FACE"])
MESSAGES = int(os.environ.get("MESSAGES", "0"))


class Item(BaseModel):
    id: int
    name: str
    tags: list[str]


class Made(face.Message):
    MESSAGE_TOPIC = "made"
    number: int


@face.RestController("/items")
class Items:
    @face.Get("/{item_id}")
    async def item(self, item_id: int) -> Item:
        return Item(id=item_id, name="thing", tags=["a", "b"])


@face.MessageBusController()
@face.RestController("/made")
class Handled:
    handled = 0
    begun = 0.0

    @face.Post("/{number}")
    async def make(self, number: int) -> str:
        await Made(number=number).publish()
        return "made"

    @face.MessageHandler(Made, nack_delay_on_exception=0)
    async def handle(self, message: face.MessageOf[Made]) -> None:
        # From the first to the last; what it did before the first is its start.
        if Handled.handled == 0:
            Handled.begun = time.perf_counter()
        Handled.handled += 1
        if Handled.handled == MESSAGES:
            print(f"handled in {time.perf_counter() - Handled.begun}", flush=True)


@face.RestController("/notes")
class Notes:
    @face.WebSocketEndpoint("/")
    async def listen(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await face.use_ws_manager().add_websocket(websocket)
        while True:
            await websocket.receive_text()

    @face.Post("/{count}")
    async def tell(self, count: int) -> float:
        for _ in range(count):
            await face.use_ws_manager().broadcast(b"x" * 100)
        return time.process_time()


def websockets() -> Any:
    client = Redis.from_url(os.environ["REDIS"])
    return face.WebSocketInterceptor(face.RedisWebSocketConnectionBackend(client, "ws:broadcast", "ws:send"))


def bus() -> Any:
    pools = {}
    if os.environ.get("POOLS"):
        size = face.GenericPoolConfig(max_size=16)
        pools = {"connection_pool_config": size, "channel_pool_config": size}
    factory = face.AIOPikaConnectionFactory(os.environ["BUS"], "bench", **pools)
    return face.MessageBusPublisherInterceptor(factory, open_connection_at_end_of_transaction=True)


def http(*controllers: Any, interceptors: Any = ()) -> Any:
    """The application as a server of HTTP."""
    app = face.Microservice(controllers=list(controllers), interceptors=list(interceptors))
    return face.create_http_server(face.HttpMicroservice(app))


def plain() -> Any:
    """One endpoint, and nothing around it."""
    return http(Items)


def publishing() -> Any:
    """One that publishes."""
    return http(Handled, interceptors=[bus()])


def telling() -> Any:
    """One that tells websockets."""
    return http(Notes, interceptors=[websockets])


app = face.Microservice(controllers=[Handled], interceptors=[bus()]) if "BUS" in os.environ else None
