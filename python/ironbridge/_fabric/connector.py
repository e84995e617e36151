"""The connector: a service's place at its broker."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

from .. import _engine, _signatures
from ..compat import installed as is_compat
from ..errors import ConfigurationError, IronbridgeError, ServiceAlreadyExists
from . import marks, settings
from .background import Background, wait_for
from .errors import BrokerUnavailable
from .logging_handler import AmqpHandler, unsent
from .proxy import ServiceProxy
from .subscription import Subscription

Api = TypeVar("Api")
State = Literal["new", "connecting", "connected", "blocked", "unblocked", "lost", "closed"]

log = logging.getLogger("ironbridge.fabric")

_OPEN_TIMEOUT = 30.0
# What the engine calls the sending of log records.
_RECORDS = "publishing log records"


class AmqBrokerConnector:
    """A service at a broker: it serves methods, calls those of others, publishes and takes data, and sees who is there.

    On the event loop that it was opened on, whatever takes time gives an awaitable that has begun already; on any
    other thread it waits, and gives the value. `async with`, or `await open()`, binds it to the running loop; `with`
    is for programs without one: then `async def` methods and callbacks run on a loop in the background.

    Args:
        amqp_uri: `amqp://user:password@host:port/vhost`, or `amqps://…` for TLS; `?heartbeat=` in seconds.
        service_domain: services of a domain meet; other domains on the broker are never seen.
        service_type: services of one type have the same methods.
        service_id: tells services of a type apart. Servers of one domain, type and id form a clique: whichever is
            free takes a call, and the next one takes the calls of one that dies.
        keep_alive_seconds: how often the service says that it is there; `False`: never.
        keep_alive_listen: as the originals have it; a connector listens in any case.
        discovery_cache_ttl: seconds for which a service is listed after it was last heard; 5 unless the environment
            (`DISCOVERY_CACHE_TTL`) says another time.
        discovery_exchange: where services say that they are there.
        service_version: the service's version, such as `"2.1.0"`; callers can ask for it.
        prefetch: calls that the broker hands to this server at once, for each method (64).
        workers: threads for plain (`def`) methods and callbacks; at most 32, by the number of processors.
        call_timeout: seconds after which a call has failed, where none are given for it (300).
        heartbeat: seconds after which a silent broker counts as lost (10).
        tls_ca: the certificate to trust, in PEM; the system's authorities when not given.
        tls_cert: this client's own certificate, for brokers that ask for one.
        tls_key: its key.
        codec: how values are sent: `"json"`, or `"gzip"` for compressed JSON. Both are read.
        on_state: called with `"connecting"`, `"connected"`, `"blocked"`, `"unblocked"`, `"lost"` and `"closed"`; on the
            loop's thread.
        on_error: called with an exception and where it came from, for what nobody awaits; it is logged where not given.
        options: further bounds by name, such as `{"outbox_messages": 1_000}`: see docs/fabric.md.

    Raises:
        IdentityError: a part of the identity is not 1 to 63 of `A-Z a-z 0-9 - _`. It is an `AttributeError`, too.
        ConfigurationError: anything else cannot be.
    """

    def __init__(
        self,
        amqp_uri: str | None,
        service_domain: str,
        service_type: str,
        service_id: str,
        keep_alive_seconds: float | bool = False,
        keep_alive_listen: bool = True,
        discovery_cache_ttl: float | None = None,
        discovery_exchange: str | None = None,
        *,
        service_version: str | None = None,
        prefetch: int | None = None,
        workers: int | None = None,
        call_timeout: float | None = None,
        heartbeat: float | None = None,
        tls_ca: str | Path | None = None,
        tls_cert: str | Path | None = None,
        tls_key: str | Path | None = None,
        codec: Literal["json", "gzip"] = "json",
        on_state: Callable[[str], object] | None = None,
        on_error: Callable[[BaseException, str], object] | None = None,
        options: Mapping[str, float] | None = None,
    ) -> None:
        self._identity = (service_domain, service_type, service_id)
        self._version = service_version
        self._hooks = (on_state, on_error)
        for name, hook in zip(("on_state", "on_error"), self._hooks, strict=True):
            if hook is not None:
                settings.function(name, hook)
        self._state: State = "new"
        self._why: BaseException | None = None
        self._background: Background | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Future[None] | None = None
        self._process = os.getpid()
        self._methods: dict[str, marks.Method] = {}
        self._setup = settings.native(
            amqp_uri,
            service_domain,
            service_type,
            service_id,
            version=service_version,
            keep_alive=settings.keep_alive(keep_alive_seconds),
            time_to_live=settings.time_to_live(discovery_cache_ttl),
            discovery_exchange=discovery_exchange,
            tls=(tls_ca, tls_cert, tls_key),
            codec=codec,
            workers=workers,
            compatible=is_compat(),
        )
        self._bounds = settings.bounds(
            options,
            prefetch=None if prefetch is None else settings.count("prefetch", prefetch),
            call_timeout=None if call_timeout is None else settings.seconds("call_timeout", call_timeout),
            heartbeat=None if heartbeat is None else settings.seconds("heartbeat", heartbeat, 1),
        )
        self._native = self._made()

    def _made(self) -> _engine.FabricConnector:
        return _engine.FabricConnector(self._setup, self._bounds, self._told_state, self._told_error)

    @property
    def domain(self) -> str:
        """The service's domain."""
        return self._identity[0]

    @property
    def service_type(self) -> str:
        """The service's type."""
        return self._identity[1]

    @property
    def service_id(self) -> str:
        """The service's id."""
        return self._identity[2]

    @property
    def service_version(self) -> str | None:
        """The service's version, if it says one."""
        return self._version

    @property
    def fqn(self) -> str:
        """`DOMAIN.TYPE.ID`."""
        return self._native.fqn

    @property
    def data_exchange(self) -> str:
        """The exchange that data is published to."""
        return self._native.data_exchange

    @property
    def state(self) -> str:
        """`"new"`, `"connecting"`, `"connected"`, `"blocked"`, `"lost"` or `"closed"`."""
        return "connected" if self._state == "unblocked" else self._state

    @property
    def is_open(self) -> bool:
        """Whether it was opened, and not closed since; the connection may be away for a while."""
        return self._state not in ("new", "closed")

    def __repr__(self) -> str:
        return f"<AmqBrokerConnector {self.fqn} at {self._native.address} {self.state}>"

    # ---- life ----------------------------------------------------------------------------------------------

    def open(self, timeout: float | None = None) -> Awaitable[None]:
        """Connects to the broker, and goes on to do so whenever the connection is lost.

        To be awaited on an event loop; where none runs it waits, and a loop in the background serves.

        Args:
            timeout: seconds in which the broker is tried to be reached; 30 when not given.

        Raises:
            BrokerUnavailable: it could not be reached.
            AuthenticationError: it did not let this user in.
            ConfigurationError: the vhost is not there, TLS fails, an exchange is there with other properties, or the
                connector is open already.
        """
        within = _OPEN_TIMEOUT if timeout is None else settings.seconds("timeout", timeout)
        if self.is_open and self._loop is not None and self._loop.is_closed():
            self._abandon()
        if self.is_open:
            raise ConfigurationError("the connector is open already")
        if self._state == "closed":
            self._native = self._made()
            self._methods = {}
        self._state, self._ending, self._process = "connecting", None, os.getpid()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._open_blocking(within)
            return _engine.Ready(None)
        self._loop = loop
        self._native.attach(loop)
        return asyncio.ensure_future(self._opened(within))

    async def _opened(self, within: float) -> None:
        try:
            async with asyncio.timeout(within):
                await self._native.open()
        except TimeoutError:
            await self._ended(0.0)
            raise self._away(within) from None
        except BaseException:
            await self._ended(0.0)
            raise

    def _open_blocking(self, within: float) -> None:
        background = self._background = Background(f"ironbridge {self.fqn}")
        self._loop = background.loop
        try:
            background.do(lambda: self._native.attach(background.loop))
            wait_for(self._opened(within), background.loop)
        except BaseException:
            background.stop(1.0)
            self._background = None
            self._state = "closed"
            raise

    def _away(self, within: float) -> BrokerUnavailable:
        why = f": {self._why}" if self._why is not None else ""
        return BrokerUnavailable(f"the broker at {self._native.address} could not be reached within {within} s{why}")

    def close(self, timeout: float | None = None) -> Awaitable[None]:
        """Ends: takes no call any more, lets those that run finish, sends what waits, and says goodbye.

        What could not be done in time fails at those who wait for it, and is told to `on_error`. In a forked child it
        does nothing: the connection is the parent's.

        Args:
            timeout: seconds that all this may take; the option `grace` (10) when not given. Goodbye to a broker that
                is silent takes up to 3 more.
        """
        grace = self._native.grace if timeout is None else settings.seconds("timeout", timeout)
        loop = self._loop
        if not self.is_open or loop is None or self._process != os.getpid():
            return _engine.Ready(None)
        if loop.is_closed():
            self._abandon()
            return _engine.Ready(None)
        if self._native.on_loop:
            ending = asyncio.ensure_future(self._ended(grace), loop=loop)
            background, self._background = self._background, None
            if background is not None:
                end = background.end
                ending.add_done_callback(lambda _: end())
            return ending
        wait_for(self._ended(grace), loop)
        background, self._background = self._background, None
        if background is not None:
            background.stop(grace + 1.0)
        return _engine.Ready(None)

    def _abandon(self) -> None:
        """Its loop has ended before it: nothing can run to its end any more."""
        self._native.abandon()
        self._state = "closed"

    async def _ended(self, grace: float) -> None:
        """Whoever asks, it ends once."""
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._end(grace))
        await asyncio.shield(self._ending)

    async def _end(self, grace: float) -> None:
        data, logs, calls = await self._native.close(grace)
        if data or logs or calls:
            self._told_error(
                IronbridgeError(
                    f"closed with {data} messages and {logs} log records unconfirmed, and {calls} calls running",
                    fate="outcome unknown",
                ),
                "close()",
            )
        self._native.detach()
        self._state = "closed"
        await asyncio.to_thread(self._native.join, min(grace, 1.0))

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __enter__(self) -> Self:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self.open()
            return self
        raise ConfigurationError("an event loop runs here: use `async with`")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- methods -------------------------------------------------------------------------------------------

    def rpc_register(self, api: object) -> Awaitable[None]:
        """Serves the public methods of an object: `async def` ones on the loop, plain ones on threads.

        Args:
            api: an object, often of a class derived from `AbstractServiceApi`; `@action` says more of a method.

        Raises:
            ServiceAlreadyExists: a method of that name is served already.
            ConfigurationError: the object has no public method, or a queue is there with other properties.
        """
        found = marks.methods(api)
        for method in found:
            # Every API has its health check: that of the first stays.
            if method.name in self._methods and method.name != "health_check":
                raise ServiceAlreadyExists(f"{self.fqn} serves a method {method.name!r} already", service=self.fqn)
        fresh = [method for method in found if method.name not in self._methods]
        served = self._native.serve(
            [(method.name, method.function, self._on_loop(method.function), method.redeliver) for method in fresh],
            [method.signature for method in fresh],
        )
        self._methods.update((method.name, method) for method in fresh)
        return self._value(served)

    @overload
    def rpc_proxy(
        self,
        service_domain: str,
        service_id: str,
        service_type: str,
        *,
        api: None = None,
        version: str | None = None,
        timeout: float | None = None,
        idempotent: bool | None = None,
    ) -> ServiceProxy: ...
    @overload
    def rpc_proxy(
        self,
        service_domain: str,
        service_id: str,
        service_type: str,
        *,
        api: Callable[..., Api],  # a class; said so, mypy takes protocols and abstract ones, too
        version: str | None = None,
        timeout: float | None = None,
        idempotent: bool | None = None,
    ) -> Awaitable[Api]: ...
    def rpc_proxy(
        self,
        service_domain: str,
        service_id: str,
        service_type: str,
        *,
        api: Any = None,
        version: str | None = None,
        timeout: float | None = None,
        idempotent: bool | None = None,
    ) -> Any:
        """Another service, to be called: `await (await connector.rpc_proxy(…)).multiply(x=5, y=7)`.

        Args:
            service_domain: its domain.
            service_id: its id.
            service_type: its type.
            api: the class of its API: then methods are looked up and arguments are named by it, here.
            version: which of its servers are called, such as `">=2,<3"`; they say their versions by keep-alives.
            timeout: seconds after which a call has failed.
            idempotent: a call may run twice: it is sent again when the connection was lost before its answer came.

        Raises:
            IdentityError: a part of the identity cannot be.
            ConfigurationError: its exchange is there with other properties.
        """
        service = (
            settings.part("service_domain", service_domain),
            settings.part("service_type", service_type),
            settings.part("service_id", service_id),
        )
        proxy = ServiceProxy(self._native, service, api, timeout, idempotent, version)
        proxy._begun = self._native.prepare(*service)
        return proxy

    # ---- who is there --------------------------------------------------------------------------------------

    def list_services(
        self,
        service_domain: str | None = None,
        service_type: str | None = None,
        health_check: bool = True,
        *,
        details: bool = False,
        versions: bool = False,
    ) -> list[dict[str, Any]]:
        """The services that are there, as far as they say so by keep-alives. Asks nobody, and waits for nothing.

        Args:
            service_domain: of this domain; the own one when not given, `"*"` for all.
            service_type: of this type.
            health_check: as the originals have it; it changes nothing.
            details: also `version` (the highest), `versions`, `servers` (of the clique), `uptime` and `last_seen` (in
                seconds) and `native` (a service of this make).
            versions: also `version` and `versions`.
        """
        domain = self.domain if service_domain is None else service_domain
        found = []
        for of, kind, one, known, servers, uptime, last_seen, native in self._native.services(
            None if domain == "*" else domain, service_type
        ):
            service: dict[str, Any] = {"domain": of, "type": kind, "id": one}
            if versions or details:
                service["version"] = known[0] if known else None
                service["versions"] = known
            if details:
                service.update(servers=servers, uptime=uptime, last_seen=last_seen, native=native)
            found.append(service)
        return found

    def subscribe_service_keepalives(
        self,
        subscriber_name: str,
        callback: Callable[[dict[str, Any]], object],
        service_domain: str | None = None,
        service_type: str | None = None,
        service_id: str | None = None,
    ) -> Subscription:
        """Has a callback, plain or `async`, called with the headers of each keep-alive.

        Args:
            subscriber_name: told where the callback fails.
            callback: called with `{"msg_type", "service_domain", "service_type", "service_id", …}`.
            service_domain: of this domain; the own one when not given, `"*"` for all.
            service_type: of this type.
            service_id: of this id.

        Raises:
            ConfigurationError: the callback is no function, or what is wanted is no text.
        """
        settings.function("callback", callback)
        name = settings.text("subscriber_name", subscriber_name)
        domain = self.domain if service_domain is None else settings.text("service_domain", service_domain)
        native, begun = self._native.subscribe_keep_alives(
            callback,
            self._on_loop(callback),
            None if domain == "*" else domain,
            settings.wanted("service_type", service_type),
            settings.wanted("service_id", service_id),
            name=name,
        )
        return Subscription(name, native, begun)

    # ---- data ----------------------------------------------------------------------------------------------

    def publish_data(
        self,
        data: bytes | bytearray | memoryview,
        headers: Mapping[str, Any],
        *,
        persistent: bool = False,
        mandatory: bool = False,
        expiration: float | None = None,
        message_id: str | None = None,
    ) -> Awaitable[None]:
        """Sends data to whoever subscribes to such headers, behind all that was published before.

        It is sent whether or not what is returned is awaited; once awaited, the broker has confirmed it. While the
        broker is away it waits in a bounded outbox.

        Args:
            data: the body.
            headers: what subscribers match; `service_id` and `service_type` are added.
            persistent: it survives a restart of the broker, in durable queues.
            mandatory: it fails (`ServiceUnavailable`) when nobody subscribes to it.
            expiration: seconds that it may wait in a queue.
            message_id: what tells it from others; made up when not given.

        Raises:
            Overloaded: the outbox is full.
            PayloadError: a header that cannot be sent, or data that is too large.
            ConfigurationError: data that is no bytes, or another argument that cannot be.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise ConfigurationError(f"data is bytes, not {type(data).__name__}: encode it first")
        return self._value(
            self._native.publish(
                bytes(data),
                settings.headers(headers),
                bool(persistent),
                bool(mandatory),
                None if expiration is None else settings.seconds("expiration", expiration),
                None if message_id is None else settings.text("message_id", message_id),
            )
        )

    def subscribe_data(
        self,
        subscriber_name: str,
        headers: Mapping[str, Any],
        callback: Callable[[_engine.IncomingMessage], object],
        *,
        match: Literal["all", "any"] = "all",
        durable: bool = False,
        ack: Literal["auto", "manual", "none"] = "auto",
        prefetch: int | None = None,
        dead_letter: bool = False,
        max_deliveries: int | None = None,
        domain: str | None = None,
        queue: str | None = None,
        stream: str | None = None,
        replay: Literal["first", "last", "next"] | int | datetime | timedelta | None = None,
    ) -> Subscription:
        """Has a callback, plain or `async`, called with each message whose headers match.

        It begins whether or not what is returned is awaited; once awaited, the broker sends messages. Subscribers of
        one name share them. A plain callback is called for one message after another; an `async` one for up to
        `prefetch` at once, begun in order.

        Args:
            subscriber_name: the subscriber; several of one name are a group that shares the messages.
            headers: what a message must say.
            callback: called with the message.
            match: all of the headers, or any.
            durable: the queue stays while nobody subscribes, and what comes meanwhile waits in it.
            ack: `"auto"`: a message is acknowledged when the callback has returned, and rejected when it raised,
                unless the callback has said so itself; `"manual"`: the callback says so, whenever it likes; `"none"`:
                the broker forgets a message when it has sent it.
            prefetch: messages that may be open at once; 200 when not given.
            dead_letter: what is rejected goes to the queue `NAME.dead`; else it is dropped.
            max_deliveries: how often a message is tried (only with `durable`); else once.
            domain: of this domain; the own one when not given.
            queue: the queue's name on the broker, for sharing with subscribers of other make, whose queues are
                called by the subscriber's name alone.
            stream: read from this stream (see `retain_data`) instead.
            replay: where in the stream to begin: `"first"`, `"last"`, `"next"` (the default), a message's offset, a
                time, or how long ago.

        Raises:
            ConfigurationError: options that contradict each other; awaited: a queue that is there with other
                properties, or a stream that is not there.
        """
        if match not in ("all", "any") or ack not in ("auto", "manual", "none"):
            raise ConfigurationError("match is 'all' or 'any'; ack is 'auto', 'manual' or 'none'")
        if ack == "none" and (dead_letter or max_deliveries is not None):
            raise ConfigurationError(
                "ack='none' has the broker forget a message: nothing can be tried again or rejected"
            )
        if replay is not None and stream is None:
            raise ConfigurationError("replay needs a stream: see retain_data")
        settings.function("callback", callback)
        given: _engine._FabricSubscribed = {
            "name": settings.text("subscriber_name", subscriber_name),
            "headers": settings.headers(headers),
            "any": match == "any",
            "domain": self.domain if domain is None else settings.part("domain", domain),
            "durable": bool(durable),
            "ack": ack,
            "prefetch": None if prefetch is None else settings.count("prefetch", prefetch),
            "dead_letter": bool(dead_letter),
            "max_deliveries": None if max_deliveries is None else settings.count("max_deliveries", max_deliveries),
            "queue": queue,
            "stream": stream,
            "replay": _position(replay),
        }
        native, begun = self._native.subscribe(given, callback, self._on_loop(callback), subscriber_name)
        return Subscription(subscriber_name, native, begun)

    def retain_data(
        self,
        stream: str,
        headers: Mapping[str, Any],
        *,
        match: Literal["all", "any"] = "all",
        max_age: float | timedelta | None = None,
        max_bytes: int | None = None,
    ) -> Awaitable[None]:
        """Has the broker keep the data whose headers match in a stream, to be read again from any place.

        Args:
            stream: the stream's name.
            headers: what a message must say to be kept.
            match: all of the headers, or any.
            max_age: seconds that a message is kept.
            max_bytes: how much is kept.

        Raises:
            ConfigurationError: a queue of that name is there with other properties.
        """
        if match not in ("all", "any"):
            raise ConfigurationError("match is 'all' or 'any'")
        age = max_age.total_seconds() if isinstance(max_age, timedelta) else max_age
        return self._value(
            self._native.retain(
                {
                    "stream": settings.text("stream", stream),
                    "headers": settings.headers(headers),
                    "any": match == "any",
                    "max_age": None if age is None else settings.seconds("max_age", age, 1.0),
                    "max_bytes": None if max_bytes is None else settings.count("max_bytes", max_bytes, 2**63 - 1),
                }
            )
        )

    # ---- logs ----------------------------------------------------------------------------------------------

    def init_logging_handler(self, handler: AmqpHandler) -> Awaitable[None]:
        """Has a handler's records sent to the broker, those that it has kept so far, too."""
        if not isinstance(handler, AmqpHandler):
            raise ConfigurationError(f"handler is an AmqpHandler, not {handler!r}")
        handler.bind_connector(self)
        return _engine.Ready(None)

    def follow_logs(
        self,
        callback: Callable[[_engine.IncomingMessage], object],
        *,
        domain: str | None = None,
        level: str | None = None,
        service_type: str | None = None,
        service_id: str | None = None,
    ) -> Subscription:
        """Has a callback, plain or `async`, called with each log record that the services of a domain send.

        Args:
            callback: called with the message: its body is the JSON of the text, its headers say the rest.
            domain: of this domain; the own one when not given.
            level: from this level on, such as `"WARNING"`; then levels of the user's own, of other names, are not seen.
            service_type: of services of this type.
            service_id: of services of this id.

        Raises:
            ConfigurationError: the level is none of the five usual ones, or another argument cannot be.
        """
        settings.function("callback", callback)
        native, begun = self._native.follow_logs(
            callback,
            self._on_loop(callback),
            self.domain if domain is None else settings.part("domain", domain),
            None if level is None else settings.level(level),
            settings.wanted("service_type", service_type),
            settings.wanted("service_id", service_id),
        )
        return Subscription("log records", native, begun)

    # ---- the rest ------------------------------------------------------------------------------------------

    def stats(self) -> dict[str, int]:
        """What it has called, served, published, sent again and dropped so far. From any thread."""
        return self._native.stats()

    def _on_loop(self, function: object) -> bool:
        """Whether a method or a callback runs on the loop's thread; others have threads of their own."""
        return _signatures.is_coroutine(function)

    def _value(self, given: Any) -> Awaitable[None]:
        """An awaitable as it is; a value that was waited for as one that can be awaited, too."""
        return given if isinstance(given, asyncio.Future) else _engine.Ready(given)

    def _told_state(self, state: State, why: BaseException | None) -> None:
        self._state = state
        # Why it is away stays known while it is tried again.
        self._why = why if why is not None or state == "connected" else self._why
        if state == "lost":
            log.warning("%s: the connection to the broker is lost: %s", self.fqn, why)
        elif state == "blocked":
            log.warning("%s: %s", self.fqn, why)
        hook = self._hooks[0]
        if hook is not None:
            hook(state)

    def _told_error(self, error: BaseException, place: str) -> None:
        # A record that tells of a record that was refused would be refused, too, and so on.
        with unsent() if place == _RECORDS else nullcontext():
            hook = self._hooks[1]
            if hook is not None:
                hook(error, place)
            else:
                log.error("%s: %s has failed", self.fqn, place, exc_info=error)


def _position(replay: object) -> str | int | float | None:
    """A place in a stream as the engine takes it: a time is a float, in seconds since 1970."""
    if isinstance(replay, datetime):
        return (replay if replay.tzinfo is not None else replay.astimezone()).timestamp()
    if isinstance(replay, timedelta) and replay >= timedelta():
        return (datetime.now(UTC) - replay).timestamp()
    if replay is None or replay in ("first", "last", "next"):
        return replay
    if isinstance(replay, int) and not isinstance(replay, bool) and replay >= 0:
        return replay
    raise ConfigurationError(f"replay is 'first', 'last', 'next', a number from 0 up, or a time, not {replay!r}")
