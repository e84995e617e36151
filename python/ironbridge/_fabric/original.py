"""`amqp_fabric`, for programs that import it: our classes, where its own differ in what a program can see.

Its package and its modules are this one, by `ironbridge.compat`.
"""

from __future__ import annotations

import os
import sys
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from ..fabric.abstract_service_api import AbstractServiceApi
from .connector import AmqBrokerConnector as _AmqBrokerConnector
from .logging_handler import AmqpHandler

if TYPE_CHECKING:
    from .. import _engine
    from .subscription import Subscription

__all__ = [
    "AbstractServiceApi",
    "AmqBrokerConnector",
    "AmqpHandler",
    "IncomingMessage",
    "abstract_service_api",
    "amq_broker_connector",
    "logging_amqp_handler",
]

# A call waits for its answer for as long as the original's does; ours has to end.
_FOREVER = 86_400.0
# Messages that callbacks may keep: as many as the wire can say. The original knows no bound.
_MANY = 65_535


class AmqBrokerConnector(_AmqBrokerConnector):
    """A connector whose handlers all run on the loop, and whose subscribers share the originals' queues."""

    def __init__(
        self,
        amqp_uri: str | None,
        service_domain: str,
        service_type: str,
        service_id: str,
        keep_alive_seconds: float | bool = False,
        keep_alive_listen: bool = False,
        discovery_cache_ttl: float | None = None,
        discovery_exchange: str | None = None,
    ) -> None:
        super().__init__(
            amqp_uri,
            _part(service_domain),
            _part(service_type),
            _part(service_id),
            keep_alive_seconds,
            keep_alive_listen,
            discovery_cache_ttl,
            discovery_exchange,
            call_timeout=None if "IRONBRIDGE_FABRIC_CALL_TIMEOUT" in os.environ else _FOREVER,
        )

    def rpc_proxy(  # type: ignore[override]
        self, service_domain: str, service_id: str, service_type: str
    ) -> Awaitable[Any]:
        """Another service, to be called."""
        return super().rpc_proxy(_part(service_domain), _part(service_id), _part(service_type))

    def list_services(  # type: ignore[override]
        self, service_domain: str | None = None, service_type: str | None = None, health_check: bool = True
    ) -> list[dict[str, Any]]:
        """The services that are there; those of all domains when none is given."""
        return super().list_services("*" if service_domain is None else service_domain, service_type, health_check)

    def subscribe_service_keepalives(
        self,
        subscriber_name: str,
        callback: Callable[[dict[str, Any]], object],
        service_domain: str | None = None,
        service_type: str | None = None,
        service_id: str | None = None,
    ) -> Subscription:
        """Has a callback called with the headers of each keep-alive; of all domains when none is given."""
        domain = "*" if service_domain is None else service_domain
        return super().subscribe_service_keepalives(subscriber_name, callback, domain, service_type, service_id)

    def subscribe_data(  # type: ignore[override]
        self, subscriber_name: str, headers: Mapping[str, Any], callback: Callable[[IncomingMessage], object]
    ) -> Subscription:
        """Has a callback called with each message whose headers match."""

        async def called(native: _engine.IncomingMessage) -> None:
            try:
                taken = callback(IncomingMessage(native))
                if isawaitable(taken):
                    await taken
            except BaseException as error:
                if not native.processed:
                    # The connector closes before it could end: the message comes again.
                    native.reject(requeue=isinstance(error, CancelledError))
                raise

        return super().subscribe_data(
            subscriber_name, headers, called, ack="manual", prefetch=_MANY, queue=subscriber_name
        )

    def _on_loop(self, function: object) -> bool:
        # Plain methods and callbacks of the original's programs know no other thread.
        return True


class IncomingMessage:
    """A message that can be settled for as long as it is kept; dropped, it counts as dealt with.

    The original holds back what was never acknowledged until its subscriber ends, and then the broker drops it.
    """

    def __init__(self, native: _engine.IncomingMessage) -> None:
        self._native = native

    def __getattr__(self, name: str) -> Any:
        return getattr(self._native, name)

    def __repr__(self) -> str:
        return repr(self._native)

    def __del__(self) -> None:
        if not self._native.processed:
            self._native.ack()


def _part(value: Any) -> str:
    """The original takes numbers, too."""
    return str(value) if isinstance(value, int) else value


# `amqp_fabric` is a package, and all its modules are this one.
__path__: list[str] = []
abstract_service_api = amq_broker_connector = logging_amqp_handler = sys.modules[__name__]
