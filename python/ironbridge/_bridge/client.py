"""`connect()` and the client it returns: a name for every endpoint of a service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from .. import _engine
from ..errors import EndpointNotFound
from .batch import Batch
from .connecting import checked_timeout, connect_options, constructor_arguments
from .described import Description
from .typed import require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

P = TypeVar("P")


class Api(Protocol):
    """A base for protocols given as `connect(..., api=...)`, for those who also want `with` typed.

    class Greeter(meta.Api, Protocol):
        def hello(self, name: str) -> str: ...
    """

    def __enter__(self) -> Self:
        """The client itself."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the connections."""
        ...

    def close(self) -> None:
        """Closes the connections."""
        ...


class ServiceClient:
    """A connected service: each of its endpoints is a method here.

    Safe to share between threads. An endpoint whose name a method below has already is called with
    `call(name, ...)`. Calls raise the errors of `ironbridge.errors`.
    """

    def __init__(self, native: _engine.Client) -> None:
        self._native = native

    def __getattr__(self, name: str) -> Callable[..., Any]:
        # Found once: from then on the native endpoint itself is this attribute.
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        endpoint = self._native.endpoint(name)
        self.__dict__[name] = endpoint
        return endpoint

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.endpoints()})

    def __repr__(self) -> str:
        return f"<ServiceClient {json.loads(self._native.schema)['service']!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections. Closing twice is harmless; calls after it fail."""
        self._native.close()

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Calls the endpoint of that name, whatever it is named."""
        return self._native.endpoint(name)(*args, **kwargs)

    def with_options(
        self, *, timeout: float | None = None, one_way: bool | None = None, idempotent: bool | None = None
    ) -> ServiceClient:
        """The same connections with other options; one that is not given stays as it is.

        Args:
            timeout: seconds for each call, after which it raises `DeadlineExceeded`.
            one_way: calls return at once, with None, and say nothing of how they end.
            idempotent: a call whose connection is lost may be sent once more.
        """
        checked_timeout(timeout)
        return type(self)(self._native.with_options(timeout=timeout, one_way=one_way, idempotent=idempotent))

    def batch(self, *, timeout: float | None = None) -> Batch:
        """Many calls in one round trip.

        with client.batch() as batch:
            one, two = batch.get("a"), batch.get("b")
        print(one.result(), two.result())
        """
        checked_timeout(timeout)
        return Batch(self._native, timeout)

    def endpoints(self) -> list[str]:
        """The names of the service's endpoints, in the order of their definition."""
        return self.describe().names()

    def describe(self) -> Description:
        """The service's signatures and docstrings; printing it gives a readable page."""
        return Description(json.loads(self._native.schema))

    def stats(self) -> dict[str, Any]:
        """What the service counts: calls, errors, latency percentiles, its instance cache."""
        return self._native.stats()


@overload
def connect(
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
) -> P: ...
@overload
def connect(
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
) -> ServiceClient: ...
def connect(
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
    """Connects to a service of this user on this machine, or at `tcp://host:port/name`.

    `tls://host:port/name` asks for TLS; `tls_ca` does so too.

    Args:
        name: the service's name, or its whole address.
        args, kwargs: what the service's class is constructed with; equal arguments share an instance.
        api: a protocol (or class) that says what the service offers; the client is typed as that, and
            what the service lacks of it is told here.
        timeout: seconds to wait for a service of that name.
        poll_interval: seconds between two looks for it.
        call_timeout: seconds for each call; default `IRONBRIDGE_CALL_TIMEOUT`, else 300.
        token: what a service on another machine asks for.
        tls_ca: path of the certificates, in PEM, that a service's own must verify against; with `tls://`
            the authorities that this system trusts when not given.
        init: constructor arguments whose names this function uses itself.

    Raises:
        ServiceNotFound: nobody served that name in time.
        ServiceUnavailable: the service is known and does not answer.
        AuthenticationError: the token is wrong or missing.
        EndpointNotFound: the service lacks what `api` promises.
        ConfigurationError: an argument is out of range or given twice.
    """
    options = connect_options(api, timeout, poll_interval, call_timeout, token, tls_ca)
    client = ServiceClient(_engine.Client(name, args, constructor_arguments(kwargs, init), options))
    if api is not None:
        try:
            require(client.describe(), api)
        except EndpointNotFound:
            client.close()
            raise
    return client
