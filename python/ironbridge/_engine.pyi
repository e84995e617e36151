"""The native engine. Everything that does I/O is here; the Python faces only hold names and docs.

Times are in seconds. Errors are those of `ironbridge.errors`.
"""

from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Generator, Mapping, Sequence
from contextvars import Context
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NotRequired, Self, TypedDict, final

__all__ = [
    "AsyncClient",
    "AsyncEndpoint",
    "Call",
    "Client",
    "Endpoint",
    "FabricCall",
    "FabricConnector",
    "FabricMethod",
    "FabricSubscription",
    "HubMember",
    "HubServer",
    "IncomingMessage",
    "MeshCall",
    "MeshContext",
    "MeshNode",
    "Processing",
    "Ready",
    "Reply",
    "Server",
    "WebSocketRelay",
    "_Lane",
    "_Mailbox",
    "_Slot",
    "_Workers",
    "__version__",
    "_canonical",
    "_decode_arguments",
    "_decode_msgpack",
    "_decode_value",
    "_encode_arguments",
    "_encode_msgpack",
    "_encode_value",
    "_fabric_call",
    "_fabric_decode",
    "_fabric_encode",
    "_fabric_table_read",
    "_fabric_table_write",
    "_program_ends",
    "_time_arguments",
    "_time_json",
    "after_fork_in_child",
    "current_call",
    "daemon_answers",
    "daemon_statistics",
    "digest",
    "json_decode",
    "json_encode",
    "leases",
    "runtime_directory",
]

__version__: str

class _Opened(TypedDict):
    """What a service is reached by, once it listens."""

    pid: int
    nonce: str
    socket: str
    tcp: str | None
    token: str | None

class _Lease(TypedDict):
    """A service of this user on this machine that holds its lease."""

    service: str
    nonce: str
    pid: int
    identity: str
    version: str
    schema: str
    socket: str
    worker: int
    workers: int
    started_unix_ms: int
    tcp: str | None
    detached: bool
    state: Literal["serving", "draining"]
    supervisor: int | None

class _ConnectOptions(TypedDict):
    """How a service is found and called; see `connect`."""

    timeout: float
    poll_interval: float
    call_timeout: float | None
    token: str | None
    tls_ca: str | None
    api_classes: dict[str, type] | None
    # Asked now and then on a thread that no signal reaches: whether nobody waits for the connection any more.
    given_up: NotRequired[Callable[[], bool]]

@final
class Endpoint:
    """One endpoint of a connected service; calling it runs it there.

    Raises:
        RemoteExecutionError: the endpoint raised.
        DeadlineExceeded: no answer in time; `fate` says whether it may have run.
        ConnectionLost: the connection ended during the call.
        PayloadError: an argument cannot cross; the message names the path to it.
        Overloaded: the service has reached a bound; nothing ran.
    """

    @property
    def __name__(self) -> str: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

@final
class Client:
    """Blocking calls to one service, from any thread. Has no thread of its own."""

    def __new__(
        cls,
        target: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: _ConnectOptions,
    ) -> Self:
        """Connects, waiting up to `timeout` for a service of that name.

        Raises:
            ServiceNotFound: nobody served that name in time.
            ServiceUnavailable: the service is known and does not answer.
            AuthenticationError: the token is wrong.
            ConfigurationError: `target` is no name and no `tcp://` or `tls://host:port/name`.
        """

    schema: bytes
    def endpoint(self, name: str) -> Endpoint:
        """The endpoint of that name; `EndpointNotFound` says which one may be meant."""

    def call(
        self,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        timeout: float | None = None,
        one_way: bool | None = None,
        idempotent: bool | None = None,
    ) -> Any: ...
    def batch(
        self, calls: Sequence[tuple[str, tuple[Any, ...], dict[str, Any]]], timeout: float | None = None
    ) -> list[Any]:
        """Many calls in one round trip. A failed call's exception stands in place of its result."""

    def stats(self) -> dict[str, Any]: ...
    def with_options(
        self, *, timeout: float | None = None, one_way: bool | None = None, idempotent: bool | None = None
    ) -> Client:
        """The same connections with other options; an option not named stays as it is."""

    def close(self) -> None: ...

@final
class Reply:
    """The reply of one call: a future of the loop that made it, and good where a coroutine is asked for.

    The call leaves at once, awaited or not. Cancelling it (or the task that awaits it) cancels the call in the
    service. `await`, `gather`, `wait_for`, `shield` and `timeout` take it as the future that it is; `create_task`
    and `TaskGroup.create_task` as a coroutine.
    """

    _asyncio_future_blocking: bool
    @property
    def get_loop(self) -> Callable[[], AbstractEventLoop]: ...
    @property
    def _loop(self) -> AbstractEventLoop: ...
    @property
    def _state(self) -> str: ...
    @property
    def _callbacks(self) -> list[tuple[Callable[[Self], object], Context]] | None: ...
    @property
    def _cancel_message(self) -> Any: ...
    def _make_cancelled_error(self) -> BaseException: ...
    def __await__(self) -> Generator[Any, None, Any]: ...
    def __iter__(self) -> Generator[Any, None, Any]: ...
    def __next__(self) -> Self: ...
    def send(self, _value: None) -> Self:
        """One step of a coroutine that awaits this reply."""

    def throw(
        self, failure: BaseException | type[BaseException], value: Any = None, traceback: TracebackType | None = None
    ) -> Any:
        """Ends such a coroutine with an exception, as `coroutine.throw` does."""

    def close(self) -> None:
        """Gives such a coroutine up: a call that nobody awaits any more is cancelled."""

    def cancel(self, msg: Any = None) -> bool:
        """Cancels the call; `False` when it is done already."""

    def cancelled(self) -> bool: ...
    def done(self) -> bool: ...
    def result(self) -> Any:
        """The value, when it is done; raises the call's failure, `CancelledError`, or `InvalidStateError`."""

    def exception(self) -> BaseException | None:
        """The failure, when it is done; raises `CancelledError` or `InvalidStateError`."""

    def add_done_callback(self, callback: Callable[[Self], object], *, context: Context | None = None) -> None:
        """Has the loop call `callback(reply)` soon after it is done."""

    def remove_done_callback(self, callback: Callable[[Self], object]) -> int:
        """Takes a callback back; returns how many times it was there."""

@final
class AsyncEndpoint:
    """One endpoint of a connected service; calling it gives an awaitable of the running loop."""

    @property
    def __name__(self) -> str: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Reply: ...

@final
class AsyncClient:
    """The same surface for asyncio: one shared connection per loop, read by the loop itself."""

    def __new__(
        cls,
        target: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: _ConnectOptions,
    ) -> Self: ...

    schema: bytes
    def endpoint(self, name: str) -> AsyncEndpoint: ...
    def call(
        self,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        timeout: float | None = None,
        one_way: bool | None = None,
        idempotent: bool | None = None,
    ) -> Reply: ...
    def batch(
        self, calls: Sequence[tuple[str, tuple[Any, ...], dict[str, Any]]], timeout: float | None = None
    ) -> Reply: ...
    def stats(self) -> Reply: ...
    def with_options(
        self, *, timeout: float | None = None, one_way: bool | None = None, idempotent: bool | None = None
    ) -> AsyncClient: ...
    def close(self) -> None: ...

@final
class Server:
    """One service in this process."""

    def __new__(
        cls,
        *,
        name: str,
        identity: str,
        schema: bytes,
        endpoints: Sequence[tuple[str, Literal["instance", "free"], bool, str | Callable[..., Any]]],
        factory: Callable[..., Any] | None,
        classes: Mapping[str, type],
        options: Mapping[str, Any],
    ) -> Self:
        """An endpoint is `(name, "instance", coroutine, attribute)` or `(name, "free", coroutine, function)`.

        Its place in the list is its number on the wire. Options, each with its default:
        `threads` (int), `cache_size` (128), `cache_ttl` (None), `on_evict` ("rebuild" or "error"),
        `host`, `port`, `token`, `tls_cert`, `tls_key` (None), `worker` (0), `workers` (1),
        `group` (None, 32 hexadecimal digits that the workers of one service share),
        `version` (empty, which code the class has),
        `supervisor` (None, the process that `handle.pid` names when it is not this one),
        `detached` (False), `parent` (None, the process with whose end this service ends).
        """

    def open(self) -> _Opened:
        """Claims the name and listens.

        Raises:
            ServiceAlreadyExists: the name is taken; `pid` says by whom.
        """

    def run(self) -> None:
        """Serves until drained, on the main thread; Python's signal handlers run meanwhile."""

    def drain(self, grace: float | None = None) -> None:
        """Stops accepting, lets running calls finish within `grace`, then ends `run`. From any thread."""

@final
class Call:
    """The call that the running endpoint serves."""

    id: int
    endpoint: str
    cancelled: bool
    remaining: float | None
    peer: str

def current_call() -> Call | None:
    """The call that the running code serves; None outside any."""

def after_fork_in_child() -> None:
    """Run by every forked child: it leaves its parent's connections and locks alone."""

def leases(name: str | None = None) -> list[_Lease]: ...
def runtime_directory() -> str: ...
def digest(data: bytes) -> str:
    """The first half of the SHA-256, in hexadecimal: `hashlib` would be a part of a daemon's time to start."""

def daemon_answers(service: str, nonce: str) -> bool:
    """Whether the daemon that holds this lease answers, within a second."""

def daemon_statistics(service: str, nonce: str, timeout: float) -> str:
    """What one live daemon counts, as JSON.

    Raises:
        ServiceNotFound: no daemon of that name and nonce holds its lease.
        ServiceUnavailable: it does not answer within `timeout`.
    """

class _HubService(TypedDict):
    """A service that was heard at the hub."""

    name: str
    instance: str | None
    actions: list[str]
    last_seen: float
    native: bool

class _HubLeft(TypedDict):
    """What a service left undone at its end."""

    unsent: int
    cancelled: int

@final
class HubMember:
    """A service's place at a hub. All on the loop's thread, but `stats`."""

    def __new__(
        cls,
        *,
        name: str,
        sender: str,
        receiver: str,
        actions: dict[str, Callable[..., Any]],
        hooks: dict[str, Callable[..., Any]],
        dumps: Callable[[Any], str | bytes] | None = None,
        loads: Callable[[Any], Any] | None = None,
        host: Literal["auto", "never"] = "auto",
        secret: str | None = None,
        options: dict[str, float] | None = None,
    ) -> Self:
        """An action is called with the asking service's name and the data. Hooks, each optional: `connect()`,
        `new_service(service, actions)`, `broadcast(service, data)`, `response(service, data)`,
        `service_lost(service, instance)`, `error(exception, where)`, `state(state)`. A coroutine that either
        returns is run. Without `dumps` and `loads` messages are JSON, natively.

        Raises:
            ConfigurationError: a name, an endpoint, the secret or an option cannot be.
        """

    @property
    def instance(self) -> str: ...
    @property
    def hosting(self) -> bool:
        """Whether this process is the hub."""

    @property
    def warnings(self) -> list[str]:
        """What the user should know of the hub that this process is, if it is."""

    def open(self, event_loop: AbstractEventLoop) -> Future[None]:
        """Joins the hub, and joins again whenever it is lost; done when the own registration came back."""

    def broadcast(self, data: Any) -> Future[None] | None:
        """Nothing is returned when the outbox has taken it, else what is done once it has."""

    def request(self, action: str, data: Any) -> Future[None] | None: ...
    def respond(self, service: str, data: Any) -> Future[None] | None: ...
    def call(self, action: str, data: Any, timeout: float | None = None) -> Future[Any]:
        """Cancelling what is returned gives the call up."""

    def call_all(self, action: str, data: Any, timeout: float | None = None) -> Future[list[tuple[str, Any]]]: ...
    def services(self) -> list[_HubService]: ...
    def stats(self) -> dict[str, Any]: ...
    def drain(self, grace: float) -> Future[_HubLeft]:
        """Lets running handlers end, sends what waits, and tells that it leaves."""

    def close(self) -> None: ...

@final
class HubServer:
    """A hub on a thread of the engine's own."""

    def __new__(
        cls, sender: str, receiver: str, *, secret: str | None = None, options: dict[str, float] | None = None
    ) -> Self:
        """Listens nowhere yet.

        Raises:
            ConfigurationError: an endpoint, the secret or an option cannot be.
        """

    @property
    def running(self) -> bool: ...
    @property
    def endpoints(self) -> tuple[str, str]: ...
    @property
    def warnings(self) -> list[str]: ...
    def start(self) -> None:
        """Listens, and forwards from now on.

        Raises:
            ServiceAlreadyExists: another hub is there.
            ConfigurationError: the endpoints cannot be listened on.
        """

    def stop(self, grace: float | None = None) -> None: ...
    def stats(self) -> dict[str, Any]: ...

class _FabricSetup(TypedDict):
    """What a connector is, and where its broker is; see `AmqBrokerConnector`."""

    uri: str
    domain: str
    kind: str
    id: str
    version: str | None
    keep_alive: float | None
    time_to_live: float
    discovery_exchange: str
    data_suffix: str
    tls_ca: str | Path | None
    tls_cert: str | Path | None
    tls_key: str | Path | None
    codec: str
    # Values that JSON has not are sent as their `repr`, as the original does.
    compatible: bool
    workers: int
    # `(name, kind, durable)` each, in place of the fabric's: then it is no service of the fabric.
    exchanges: list[tuple[str, str, bool]] | None

class _Queue(TypedDict):
    """A queue that the user names, what leads to it (`(exchange, routing key)` each), and how it is consumed."""

    name: str
    durable: bool
    exclusive: bool
    auto_delete: bool
    arguments: Mapping[str, Any]
    bindings: list[tuple[str, str]]
    # Queues that must be there first.
    companions: list[_Queue]
    prefetch: int
    ack: Literal["auto", "manual", "none"]

class _Message(TypedDict):
    """A message's envelope."""

    exchange: str
    routing_key: str
    headers: Mapping[str, Any] | None
    persistent: bool
    mandatory: bool
    message_id: str | None
    content_type: str | None

class _FabricSubscribed(TypedDict):
    """What is subscribed to; see `AmqBrokerConnector.subscribe_data`."""

    name: str
    headers: Mapping[str, Any]
    any: bool
    domain: str
    durable: bool
    ack: Literal["auto", "manual", "none"]
    prefetch: int | None
    dead_letter: bool
    max_deliveries: int | None
    queue: str | None
    stream: str | None
    # "first", "last", "next", an offset, or a time in seconds since 1970 as a float.
    replay: object

class _FabricRetained(TypedDict):
    """What a stream keeps; see `AmqBrokerConnector.retain_data`."""

    stream: str
    headers: Mapping[str, Any]
    any: bool
    max_age: float | None
    max_bytes: int | None

@final
class FabricConnector:
    """One connection to a broker, for one service.

    What takes time gives a future on the thread of the loop that it is attached to; on any other thread it waits, and
    gives the value.
    """

    def __new__(
        cls,
        given: _FabricSetup,
        bounds: dict[str, float],
        on_state: Callable[[Any, BaseException | None], object],
        on_error: Callable[[BaseException, str], object],
    ) -> Self:
        """Connects to nothing yet. `bounds` are those of the table in docs/fabric.md, by name; `on_state(state, why)`
        and `on_error(error, place)` are called on the loop's thread.

        Raises:
            ConfigurationError: something given cannot be.
        """

    @property
    def fqn(self) -> str: ...
    @property
    def data_exchange(self) -> str: ...
    @property
    def address(self) -> str:
        """The broker, without the password."""

    @property
    def connected(self) -> bool:
        """Whether the connection stands now."""

    @property
    def grace(self) -> float:
        """How long `close` takes where nobody says, in seconds."""

    @property
    def on_loop(self) -> bool:
        """Whether this is the thread of the loop that it is attached to."""

    def attach(self, event_loop: AbstractEventLoop) -> None:
        """On the loop's thread: has it watch what the engine tells."""

    def open(self) -> Future[None]:
        """On the loop's thread. Done when the connection stands, or never will."""

    def close(self, grace: float) -> Future[tuple[int, int, int]]:
        """On the loop's thread. Done within `grace` seconds; tells how many messages and log records were left
        unconfirmed, and how many calls were left running."""

    def detach(self) -> None:
        """On the loop's thread, after `close`: cancels the handlers that still run."""

    def abandon(self) -> None:
        """Ends at once, where the loop that it was opened on has ended before."""

    def join(self, grace: float) -> int:
        """On any thread but the loop's: waits for the engine's threads; tells how many handlers still run."""

    def serve(
        self, methods: Sequence[tuple[str, Callable[..., Any], bool, bool]], api: Sequence[str]
    ) -> Future[None] | None:
        """Serves methods, each `(name, function, is_coroutine, redeliver)`. `api` shows them with their parameters,
        for other servers of the service to compare."""

    def prepare(self, domain: str, kind: str, id: str) -> Future[None] | None:
        """Has the exchange of a service ready."""

    def services(
        self, domain: str | None, kind: str | None
    ) -> list[tuple[str, str, str, list[str], int, float, float, bool]]:
        """Who is there: `(domain, type, id, versions, servers, uptime, last_seen, native)` each."""

    def cancel_call(self, number: int) -> None:
        """Nobody waits for this call any more."""

    def publish(
        self,
        data: bytes,
        headers: Mapping[str, Any],
        persistent: bool = False,
        mandatory: bool = False,
        expiration: float | None = None,
        message_id: str | None = None,
    ) -> Future[None] | None: ...
    def subscribe(
        self,
        given: _FabricSubscribed,
        callback: Callable[[IncomingMessage], object],
        is_coroutine: bool,
        name: str,
    ) -> tuple[FabricSubscription, Future[None] | None]:
        """The subscription, and what is done when it has begun."""

    def subscribe_keep_alives(
        self,
        callback: Callable[[dict[str, Any]], object],
        is_coroutine: bool,
        domain: str | None = None,
        kind: str | None = None,
        id: str | None = None,
        name: str = "keep-alives",
    ) -> tuple[FabricSubscription, Future[None] | None]: ...
    def follow_logs(
        self,
        callback: Callable[[IncomingMessage], object],
        is_coroutine: bool,
        domain: str,
        level: str | None = None,
        kind: str | None = None,
        id: str | None = None,
    ) -> tuple[FabricSubscription, Future[None] | None]: ...
    def send(self, given: _Message, body: bytes) -> Future[None] | None:
        """Sends a message to an exchange that the user names; done when the broker has it."""

    def take(
        self, given: _Queue, callback: Callable[[IncomingMessage], object], is_coroutine: bool
    ) -> tuple[FabricSubscription, Future[None] | None]:
        """Consumes a queue that the user names. As `subscribe`."""

    def declare(self, given: _Queue) -> Future[None] | None:
        """Declares a queue, and what leads to it."""

    def inspect(self, queue: str) -> Future[tuple[int, int]] | tuple[int, int]:
        """How many messages wait in a queue, and how many consume it."""

    def purge(self, queue: str) -> Future[int] | int:
        """Drops all messages that wait in a queue; how many there were."""

    def retain(self, given: _FabricRetained) -> Future[None] | None: ...
    def log(self, level: str, text: str, headers: Mapping[str, Any]) -> None:
        """Sends a log record. From any thread; waits for nothing."""

    def stats(self) -> dict[str, int]: ...
    def _told(self) -> None:
        """On the loop's thread: the engine has something to tell."""

@final
class FabricSubscription:
    """A subscription, of whichever kind."""

    def stop(self) -> Future[None] | None:
        """Takes no message any more."""

    def stats(self) -> tuple[int, int, int, int, int]:
        """`(received, acknowledged, rejected, filtered, open)`."""

@final
class FabricMethod:
    """One method of one service; calling it sends the call.

    Raises:
        RemoteExecutionError: the method raised.
        EndpointNotFound: the service is there, and has no such method.
        ServiceUnavailable: nobody serves it, or no server has a version that was asked for.
        DeadlineExceeded: no answer in time; `fate` says whether it may have run.
        ConnectionLost: the connection ended during the call, which is not idempotent.
        PayloadError: an argument cannot cross; the message names the path to it.
        Overloaded: a bound is reached; nothing ran.
    """

    def __new__(
        cls,
        connector: FabricConnector,
        service: tuple[str, str, str],
        name: str,
        *,
        binder: Callable[..., dict[str, Any]] | None = None,
        timeout: float | None = None,
        idempotent: bool = False,
        version: str | None = None,
    ) -> Self:
        """`service` is `(domain, type, id)`; `binder` gives positional arguments their names.

        Raises:
            ConfigurationError: a name, the time or the range of versions cannot be.
        """

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

@final
class FabricCall:
    """The call that the running method serves.

    Attributes:
        method: the method's name.
        redelivered: whether it may have been begun before, by a server that went away.
        correlation_id: what its caller calls it.
        caller: `DOMAIN.TYPE.ID` of a caller of this make.
    """

    @property
    def method(self) -> str: ...
    @property
    def redelivered(self) -> bool: ...
    @property
    def correlation_id(self) -> str | None: ...
    @property
    def caller(self) -> str | None: ...
    @property
    def remaining(self) -> float | None:
        """Seconds until its caller waits no longer; `None` when it waits for ever."""

    @property
    def cancelled(self) -> bool:
        """Whether its caller waits no longer."""

def _program_ends() -> None:
    """The program ends: a daemon thread whose wait fails from now on is not told at once."""

def _fabric_call() -> FabricCall | None:
    """The call that the running method serves; `None` outside any."""

@final
class IncomingMessage:
    """A message that came. The names are those of `aio_pika.IncomingMessage`.

    `ack`, `nack` and `reject` take effect at once; what they give can be awaited, and need not be.
    """

    @property
    def body(self) -> bytes: ...
    @property
    def headers(self) -> dict[str, Any]: ...
    def json(self) -> Any:
        """The body, read as JSON.

        Raises:
            PayloadError: it is not JSON, or over a limit; the message says what is wrong, and at which byte.
        """

    @property
    def redelivered(self) -> bool:
        """Whether it was handed out before."""

    @property
    def delivery_count(self) -> int | None:
        """How often it was handed out before, where the queue counts that: one with `max_deliveries` does."""

    @property
    def offset(self) -> int | None:
        """Its place in its stream; `None` where it comes from another queue."""

    @property
    def message_id(self) -> str | None: ...
    @property
    def correlation_id(self) -> str | None: ...
    @property
    def content_type(self) -> str | None: ...
    @property
    def content_encoding(self) -> str | None: ...
    @property
    def reply_to(self) -> str | None: ...
    @property
    def type(self) -> str | None: ...
    @property
    def priority(self) -> int | None: ...
    @property
    def timestamp(self) -> datetime | None:
        """When it was sent, in whole seconds (UTC)."""

    @property
    def expiration(self) -> float | None:
        """How many seconds it might wait in a queue."""

    @property
    def exchange(self) -> str: ...
    @property
    def routing_key(self) -> str: ...
    @property
    def delivery_tag(self) -> int: ...
    @property
    def processed(self) -> bool:
        """Whether it was said what is to become of it."""

    def ack(self, multiple: bool = False) -> Ready:
        """It is dealt with.

        Raises:
            MessageSettled: it was said before what is to become of it.
        """

    def nack(self, multiple: bool = False, requeue: bool = True) -> Ready:
        """It is not dealt with, and comes again."""

    def reject(self, requeue: bool = False) -> Ready:
        """It is not dealt with, and is dead-lettered or dropped."""

    def process(
        self, requeue: bool = False, reject_on_redelivered: bool = False, ignore_processed: bool = False
    ) -> Processing:
        """A block, `async` or plain, at whose end the message is acknowledged, or rejected when the block raised.

        Args:
            requeue: rejected, it comes again.
            reject_on_redelivered: but not when it has come again already.
            ignore_processed: the block may have said itself what is to become of it.
        """

@final
class Processing:
    """The block of `IncomingMessage.process`."""

    def __enter__(self) -> IncomingMessage: ...
    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> Literal[False]: ...
    def __aenter__(self) -> Ready: ...
    def __aexit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> Ready: ...

@final
class Ready:
    """Done already, and can be awaited all the same."""

    def __new__(cls, value: object) -> Self: ...
    def __await__(self) -> Generator[Any, None, Any]: ...
    def __iter__(self) -> Generator[Any, None, Any]: ...
    def __next__(self) -> None: ...

# Plain msgpack, which any of its readers reads.
def _encode_msgpack(value: object) -> bytes: ...
def _decode_msgpack(payload: bytes) -> Any: ...

# The codec of values by itself, for tests and tools. `changes` are of the limits max_frame, max_depth, max_items and
# out_of_band. A buffer is a bytearray where the receiver is to have one.
def _encode_value(value: object, **changes: int) -> tuple[bytes, list[bytes | bytearray]]: ...
def _decode_value(
    payload: bytes,
    buffers: Sequence[bytes | bytearray] = ...,
    declared: Mapping[str, object] | None = None,
    loaded: bool = True,
    **changes: int,
) -> Any: ...
def _encode_arguments(
    args: tuple[object, ...], kwargs: dict[str, Any] | None = None, **changes: int
) -> tuple[bytes, list[bytes | bytearray]]: ...
def _decode_arguments(
    payload: bytes, buffers: Sequence[bytes | bytearray] = ..., leading: object = None, **changes: int
) -> tuple[tuple[Any, ...], dict[str, Any] | None]: ...
def _canonical(args: tuple[object, ...], kwargs: dict[str, Any] | None = None, **changes: int) -> bytes: ...
def _time_arguments(args: tuple[object, ...], rounds: int) -> tuple[float, float]: ...

# The JSON codec by itself, for tests and tools; `changes` as above.
def json_encode(value: object, **changes: int) -> bytes:
    """A value as `json.dumps` writes it, in UTF-8 with compact separators.

    Raises:
        PayloadError: JSON does not have such a value, or it is over a limit; the message names the path to it.
    """

def json_decode(data: bytes | str, **changes: int) -> Any:
    """The value that `json.loads` reads.

    Raises:
        PayloadError: this is not JSON, or over a limit; the message says what is wrong, and at which byte.
    """

def _time_json(value: object, rounds: int) -> tuple[float, float]: ...

# The fabric's pieces by themselves, for tests.

@final
class _Workers:
    """At most so many threads that run functions, each in a context of its own."""

    def __new__(cls, most: int) -> Self: ...
    def submit(self, function: Callable[[], object], dropped: Callable[[], object] | None = None) -> None:
        """Leaves a function to run; `dropped` is called when it never will be."""

    def submit_panic(self) -> None:
        """Leaves a job that panics."""

    def lane(self) -> _Lane: ...
    def stop(self, grace: float) -> int:
        """Takes no more, waits for what runs, and tells how much still does."""

    def waiting(self) -> int: ...
    def running(self) -> int: ...
    def threads(self) -> int: ...

@final
class _Lane:
    """Runs functions one after another, on threads that others use, too."""

    def submit(self, function: Callable[[], object], dropped: Callable[[], object] | None = None) -> None: ...
    def waiting(self) -> int: ...

@final
class _Mailbox:
    """Objects for an event loop, which watches the descriptor."""

    def __new__(cls) -> Self: ...
    def push(self, item: object) -> bool:
        """Whether it was taken: a closed box takes nothing."""

    def drain(self) -> list[Any]: ...
    def close(self) -> list[Any]: ...
    def fileno(self) -> int: ...
    def oldest_waiting(self) -> float | None: ...

@final
class _Slot:
    """One object for a caller who blocks."""

    def __new__(cls) -> Self: ...
    def fill(self, value: object) -> bool:
        """Whether it was taken: only the first is, and only while somebody may wait for it."""

    def wait(self, timeout: float | None = None) -> Any: ...

def _fabric_table_write(headers: object, *, single: bool = False) -> bytes:
    """A table's bytes; `single` makes its floats four bytes long."""

def _fabric_table_read(data: bytes) -> dict[str, Any]: ...
def _fabric_encode(
    value: object,
    codec: str = "json",
    *,
    with_repr: bool = False,
    **changes: int,
) -> tuple[bytes, str]:
    """A body and its content type."""

def _fabric_decode(body: bytes, content_type: str | None = None, **changes: int) -> Any: ...

class _RedisAddress(TypedDict):
    """`host` may be the path of a Unix socket."""

    host: str
    port: int
    database: int
    user: str | None
    password: str | None
    tls: bool
    tls_ca: str | None
    tls_cert: str | None
    tls_key: str | None

class _WebSocketRelaySetup(_RedisAddress):
    """Times are in seconds."""

    broadcasts: str
    sends: str
    connect_timeout: float
    timeout: float
    ping_interval: float

@final
class WebSocketRelay:
    """The connections of an instance to the Redis where it meets the others: one life of them, which a loop drives."""

    @staticmethod
    def connect(given: _WebSocketRelaySetup) -> WebSocketRelay:
        """Connects and subscribes; blocks, for `connect_timeout` at most."""

    def attach(
        self,
        event_loop: AbstractEventLoop,
        on_messages: Callable[[list[tuple[bytes, list[str] | None]]], object],
        on_dropped: Callable[[str], object],
        on_lost: Callable[[Exception], object],
    ) -> None:
        """Has a loop drive it. `on_messages` gets all that came in one read, `on_lost` why it has ended, once."""

    def broadcast(self, data: bytes) -> Future[None]: ...
    def send(self, rooms: Sequence[str], data: bytes) -> Future[None]: ...
    def ping(self) -> Future[None]: ...
    def watch(self) -> None:
        """Ends what takes too long; to be called now and then."""

    def close(self) -> None: ...
    def _pump(self) -> None: ...
    def _answered(self) -> None: ...
    def _flush(self) -> None: ...

_Handler = tuple[str, Any, bool, bool, Any, Any, str]

class _MeshSetup(TypedDict):
    """Times are in milliseconds."""

    node_id: str
    instance_id: str
    namespace: str
    protocol: str
    check_version: bool
    serializer: str
    transporter: str
    tls_ca: str | None
    tls_cert: str | None
    tls_key: str | None
    hostname: str
    ip_list: str
    client: str
    metadata: str
    heartbeat_interval: float
    heartbeat_timeout: float
    check_heartbeats: bool
    forget_after: float | None
    prefer_local: bool
    strategy: str
    strategy_options: str
    request_timeout: float
    disable_balancer: bool
    max_packet: int
    max_pending: int
    max_nodes: int
    discovery: float
    silence: float
    transform: Any
    max_level: int
    workers: int

@final
class MeshCall:
    """A call, as what is awaited: a coroutine without a frame, which begins when it is first awaited."""

    def __await__(self) -> Generator[Any, Any, Any]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...
    def send(self, _value: Any) -> Any: ...
    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any: ...
    def close(self) -> None: ...

@final
class MeshContext:
    """What a handler knows of its call or event, and calls others through.

    Attributes:
        params: the parameters, or what happened.
        meta: what travels with the call and all that follow from it; what a handler sets goes back to its caller.
        headers: what travels with this call alone (protocol 5).
        locals: the handler's own.
        options: the call's options, where it was made here.
        id, request_id, parent_id: of this call, of the first that led to it, of the one around it.
        level: how many calls led to it, with itself.
        caller: the full name of the service that calls.
        node_id: the node that calls.
        timeout: how long its caller waits, in milliseconds; 0: for ever. `remaining` is what is left of it.
        action, event, service, broker: whose it is.
        event_name, event_type, event_groups: of an event; the type is `emit`, `broadcast` or `broadcastLocal`.
    """

    params: Any
    meta: dict[str, Any]
    headers: dict[str, Any]
    locals: Any
    options: dict[str, Any]
    id: str
    level: int
    tracing: bool | None
    service: Any
    action: Any
    event: Any
    event_name: str | None
    event_type: str | None
    event_groups: list[str] | None
    span: Any
    cached_result: bool
    endpoint_node: str | None
    timeout: float
    @property
    def request_id(self) -> str: ...
    @request_id.setter
    def request_id(self, id: str | None) -> None: ...
    @property
    def parent_id(self) -> str | None: ...
    @parent_id.setter
    def parent_id(self, id: str | None) -> None: ...
    @property
    def caller(self) -> str | None: ...
    @caller.setter
    def caller(self, caller: str | None) -> None: ...
    @property
    def node_id(self) -> str: ...
    @node_id.setter
    def node_id(self, node: str | None) -> None: ...
    @property
    def broker(self) -> Any: ...
    @property
    def remaining(self) -> float | None: ...
    def call(
        self,
        action: str,
        params: Any = None,
        meta: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        node_id: str | None = None,
        **more: Any,
    ) -> Any:
        """Calls another action within this call; to be awaited. As the broker's `call`."""

    def mcall(self, calls: Any, **options: Any) -> Any:
        """Calls several actions within this call; to be awaited. As the broker's `mcall`."""

    def emit(self, event: str, data: Any = None, groups: Any = None, **options: Any) -> Any:
        """Tells of an event within this call; to be awaited. As the broker's `emit`."""

    def broadcast(self, event: str, data: Any = None, groups: Any = None, **options: Any) -> Any:
        """Tells all of an event within this call; to be awaited. As the broker's `broadcast`."""

    def start_span(self, name: str, **options: Any) -> Any:
        """Begins a span within the call's."""

@final
class MeshNode:
    """A node of the mesh. `on_told(what, *told)` is called with what it has to tell, on the loop's thread."""

    def __new__(cls, given: _MeshSetup, on_told: Callable[..., object]) -> Self: ...
    def attach(self, broker: Any, event_loop: AbstractEventLoop) -> None: ...
    def start(self) -> Future[None]: ...
    def stop_serving(self) -> None: ...
    def close(self, grace: float) -> None: ...
    def join(self, grace: float) -> int: ...
    def detach(self) -> None: ...
    def _pump(self) -> None: ...
    def _flush(self) -> None: ...
    def _told(self) -> None: ...
    def set_services(self, services: str, actions: Sequence[_Handler], events: Sequence[_Handler]) -> None: ...
    def announce(self) -> None: ...
    def through_python(self, through: bool) -> None: ...
    def call(
        self,
        action: str,
        params: Any = None,
        meta: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        node_id: str | None = None,
        **more: Any,
    ) -> Any: ...
    def invoke(
        self,
        context: MeshContext,
        action: str,
        timeout: float | None = None,
        node_id: str | None = None,
        stream: Any = None,
    ) -> MeshCall: ...
    def context(self) -> MeshContext: ...
    def choose(
        self, action: str, node_id: str | None = None, params: Any = None, meta: Any = None
    ) -> tuple[str, bool, str] | None: ...
    def emit(
        self,
        event: str,
        data: Any,
        groups: Sequence[str],
        broadcast: bool,
        context: MeshContext,
        local: bool = False,
    ) -> list[tuple[str, Any, Any, bool]]: ...
    def ping(self, node_id: str | None = None) -> str: ...
    def discover(self, node_id: str | None = None) -> None: ...
    @property
    def connected(self) -> bool: ...
    @property
    def place(self) -> str: ...
    def fresh_id(self) -> str: ...
    def set_usable(self, action: str, node_id: str, usable: bool) -> None: ...
    def endpoints(self, action: str) -> list[tuple[str, bool, bool, str]]: ...
    def nodes(self, with_services: bool = True) -> str: ...
    def actions(self) -> str: ...
    def events(self) -> str: ...
    def has_service(self, full_name: str) -> bool: ...
    def stats(self) -> dict[str, int]: ...
