"""`connect_async()` and its client: the surface of `connect()`, for asyncio."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from .. import _engine
from ..errors import EndpointNotFound
from .batch import AsyncBatch
from .connecting import checked_timeout, connect_options, constructor_arguments
from .described import Description
from .typed import require

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Mapping
    from typing import Self

P = TypeVar("P")
T = TypeVar("T")


class AsyncServiceClient:
    """A connected service: each of its endpoints is a method here that returns an awaitable.

    Cancelling the task that awaits cancels the endpoint's coroutine. An endpoint whose name a method
    below has already is called with `call(name, ...)`.
    """

    def __init__(self, native: _engine.AsyncClient) -> None:
        self._native = native

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        # Found once: from then on the native endpoint itself is this attribute.
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        endpoint = self._native.endpoint(name)
        self.__dict__[name] = endpoint
        return endpoint

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.endpoints()})

    def __repr__(self) -> str:
        return f"<AsyncServiceClient {json.loads(self._native.schema)['service']!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections. Closing twice is harmless; calls after it fail."""
        self._native.close()

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Calls the endpoint of that name, whatever it is named."""
        return self._native.endpoint(name)(*args, **kwargs)

    def with_options(
        self, *, timeout: float | None = None, one_way: bool | None = None, idempotent: bool | None = None
    ) -> AsyncServiceClient:
        """The same connections with other options; see `ServiceClient.with_options`."""
        checked_timeout(timeout)
        return type(self)(self._native.with_options(timeout=timeout, one_way=one_way, idempotent=idempotent))

    def batch(self, *, timeout: float | None = None) -> AsyncBatch:
        """Many calls in one round trip: `async with client.batch() as batch: ...`."""
        checked_timeout(timeout)
        return AsyncBatch(self._native, timeout)

    def endpoints(self) -> list[str]:
        """The names of the service's endpoints, in the order of their definition."""
        return self.describe().names()

    def describe(self) -> Description:
        """The service's signatures and docstrings; printing it gives a readable page."""
        return Description(json.loads(self._native.schema))

    async def stats(self) -> dict[str, Any]:
        """What the service counts: calls, errors, latency percentiles, its instance cache."""
        counted: dict[str, Any] = await self._native.stats()
        return counted


class Connecting(Generic[T]):
    """What `connect_async` returns: `async with` it, or await it."""

    def __init__(
        self, api: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], options: _engine._ConnectOptions
    ) -> None:
        self._api = api
        self._arguments = (name, args, kwargs)
        self._options = options
        self._client: AsyncServiceClient | None = None

    def __await__(self) -> Generator[Any, None, T]:
        return self._connect().__await__()

    async def __aenter__(self) -> T:
        return await self._connect()

    async def __aexit__(self, *failure: object) -> None:
        if self._client is not None:
            await self._client.close()

    async def _connect(self) -> T:
        import asyncio
        from threading import Event

        # Waiting for a service that is not there yet must not hold the loop; nor may its thread outlive the wait,
        # since `asyncio.run` ends only after it.
        given_up = Event()
        options: _engine._ConnectOptions = {**self._options, "given_up": given_up.is_set}
        try:
            native = await asyncio.to_thread(_engine.AsyncClient, *self._arguments, options)
        except asyncio.CancelledError:
            given_up.set()
            raise
        self._client = client = AsyncServiceClient(native)
        if self._api is not None:
            try:
                require(client.describe(), self._api)
            except EndpointNotFound:
                await client.close()
                raise
        # What the protocol promises, the client has.
        return cast("T", client)


@overload
def connect_async(
    name: str,
    /,
    *args: Any,
    api: Callable[..., P],
    timeout: float = 5.0,
    poll_interval: float = 0.002,
    call_timeout: float | None = None,
    token: str | None = None,
    tls_ca: str | None = None,
    init: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Connecting[P]: ...
@overload
def connect_async(
    name: str,
    /,
    *args: Any,
    api: None = None,
    timeout: float = 5.0,
    poll_interval: float = 0.002,
    call_timeout: float | None = None,
    token: str | None = None,
    tls_ca: str | None = None,
    init: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Connecting[AsyncServiceClient]: ...
def connect_async(
    name: str,
    /,
    *args: Any,
    api: Any = None,
    timeout: float = 5.0,
    poll_interval: float = 0.002,
    call_timeout: float | None = None,
    token: str | None = None,
    tls_ca: str | None = None,
    init: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    """Connects from asyncio: `async with connect_async("x") as client:`, or `await connect_async("x")`.

    Arguments and errors are those of `connect`; the errors come when it is entered or awaited.
    """
    return Connecting(
        api,
        name,
        args,
        constructor_arguments(kwargs, init),
        connect_options(api, timeout, poll_interval, call_timeout, token, tls_ca),
    )
