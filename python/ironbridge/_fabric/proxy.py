"""A service as its callers see it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from .. import _engine
from ..errors import ConfigurationError, EndpointNotFound
from . import marks, settings


class ServiceProxy:
    """Another service: each attribute is one of its methods, to be called with named arguments.

    On the connector's event loop a call gives an awaitable; on any other thread it waits and gives the result.
    Awaiting the service itself tells when the broker is ready for calls to it, or why it never will be.
    """

    # Done when the broker is ready.
    _begun: asyncio.Future[None] | None = None

    def __init__(
        self,
        connector: _engine.FabricConnector,
        service: tuple[str, str, str],  # domain, type, id
        api: type | None,
        timeout: float | None,
        idempotent: bool | None,
        version: str | None,
    ) -> None:
        if timeout is not None:
            timeout = settings.seconds("timeout", timeout)
        if version is not None:
            # Whether it can be is said here, and not by the first call.
            version = settings.text("version", version)
            _engine.FabricMethod(connector, service, "health_check", version=version)
        self._ironbridge = (connector, service, api, timeout, idempotent, version)
        self._offered = None if api is None else _offered(api)

    def __await__(self) -> Generator[Any, None, ServiceProxy]:
        if self._begun is not None:
            yield from self._begun.__await__()
        return self

    def with_options(
        self, *, timeout: float | None = None, idempotent: bool | None = None, version: str | None = None
    ) -> ServiceProxy:
        """The same service, called with other options; what is not given stays.

        Args:
            timeout: seconds after which a call has failed.
            idempotent: a call is sent again when the connection was lost before its answer came.
            version: which of its servers, such as `">=2"`.
        """
        connector, service, api, old_timeout, old_idempotent, old_version = self._ironbridge
        return ServiceProxy(
            connector,
            service,
            api,
            old_timeout if timeout is None else timeout,
            old_idempotent if idempotent is None else idempotent,
            old_version if version is None else version,
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        connector, service, api, timeout, idempotent, version = self._ironbridge
        binder: Callable[..., dict[str, Any]] | None = None
        if self._offered is not None:
            found = self._offered.get(name)
            if found is None:
                raise EndpointNotFound(
                    f"{api.__name__ if api else ''} has no method {name!r}; it has {', '.join(sorted(self._offered))}",
                    service=".".join(service),
                    endpoint=name,
                )
            wire_name, function = found
            if idempotent is None:
                idempotent = marks.options(function).idempotent
            binder = partial(_bound, _signature(function, inspect.getattr_static(api, name)))
            name_there = wire_name
        else:
            name_there = name
        method = _engine.FabricMethod(
            connector,
            service,
            name_there,
            binder=binder,
            timeout=timeout,
            idempotent=bool(idempotent),
            version=version,
        )
        # Found without this function from now on.
        self.__dict__[name] = method
        return method

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *(self._offered or ())})

    def __repr__(self) -> str:
        return f"<ServiceProxy {'.'.join(self._ironbridge[1])}>"


def _offered(api: type) -> dict[str, tuple[str, Callable[..., Any]]]:
    """The public methods of an API class: by attribute, what each is called by, and its function."""
    if not isinstance(api, type):
        raise ConfigurationError(f"api is a class, not {api!r}")
    found = {}
    for attribute in dir(api):
        function = getattr(api, attribute)
        if not attribute.startswith("_") and callable(function) and not isinstance(function, type):
            found[attribute] = (marks.name_of(function, attribute), function)
    return found


def _signature(function: Callable[..., Any], raw: object) -> inspect.Signature:
    """Without `self`, where it is a plain function of a class; `raw` is what stands in the class."""
    signature = inspect.signature(function)
    if inspect.ismethod(function) or isinstance(raw, staticmethod):
        return signature
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _bound(signature: inspect.Signature, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """The arguments by their names."""
    named: dict[str, Any] = {}
    bound = signature.bind(*args, **kwargs)
    for name, value in bound.arguments.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            named.update(value)
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            raise TypeError(f"*{name} cannot cross: arguments cross by their names")
        else:
            named[name] = value
    return named
