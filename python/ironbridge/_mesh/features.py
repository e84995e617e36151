"""Which of Moleculer's features a broker has: what each option turns on, in Moleculer's order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ConfigurationError
from .caching.middleware import Caching, cacher_of
from .channels.middleware import Channels
from .metrics.middleware import Metrics
from .middle.breaker import CircuitBreaker
from .middle.bulkhead import Bulkhead
from .middle.cloning import ParamsCloning
from .middle.debounce import Debounce
from .middle.error_handler import ErrorHandler
from .middle.fallback import Fallback
from .middle.hooks import ActionHook
from .middle.retry import Retry
from .middle.throttle import Throttle
from .middle.tracker import ContextTracker
from .middle.transforming import transforming
from .tracing.middleware import TracingMiddleware
from .tracing.tracer import tracer_of
from .validation.middleware import Validation


def set_up(broker: Any) -> None:
    """Gives a broker its middlewares, the outermost first; the user's are within all of ours.

    Raises:
        BrokerOptionsError: an option of one of them is wrong.
    """
    options, add = broker.options, broker.middlewares.add
    if options.internal_middlewares:
        add(Throttle(), everywhere=False)
        add(Debounce(broker), everywhere=False)
        if options.metrics and not (isinstance(options.metrics, Mapping) and options.metrics.get("enabled") is False):
            metrics = Metrics(broker, options.metrics)
            broker.metrics = metrics.registry
            add(metrics)
        broker.tracer = tracer_of(options.tracing, broker)
        if broker.tracer is not None:
            add(TracingMiddleware(broker, broker.tracer))
        if options.error_handler is not None:
            broker.error_handler = ErrorHandler(options.error_handler)
            add(broker.error_handler)
        add(Fallback(), everywhere=False)
        retry = Retry(broker, options.retry_policy)
        add(retry, everywhere=retry.enabled)
        breaker = CircuitBreaker(broker, options.circuit_breaker)
        add(breaker, everywhere=breaker.enabled)
        if options.tracking:
            add(ContextTracker(broker, options.tracking))
        if options.cacher:
            broker.cacher = cacher_of(options.cacher)
            add(Caching(broker, broker.cacher), everywhere=False)
        add(Bulkhead(broker, options.bulkhead), everywhere=False)
        if options.validator:
            validation = Validation(broker, options.validator)
            broker.validator = validation.validator
            add(validation, everywhere=False)
        add(ActionHook(), everywhere=False)
        if options.context_params_cloning:
            add(ParamsCloning(), everywhere=False)
    broker.channels = Channels(broker, options.channels)
    add(broker.channels, everywhere=False)
    # As Moleculer has it, the last of the user's is the outermost of them.
    for middleware in reversed(options.middlewares):
        add(middleware)


def must_see_calls(broker: Any) -> bool:
    """Whether calls of other nodes' actions, or all calls, are wrapped, or have ids of the user's own."""
    wrapped = broker.middlewares.has("call") or broker.middlewares.has("remote_action")
    return bool(wrapped or broker.options.uid_generator is not None)


def transform(broker: Any) -> Any:
    """What changes the bytes of packets; None when nothing does."""
    return transforming(broker)


def start_span(broker: Any, ctx: Any, name: str, options: dict[str, Any]) -> Any:
    """Begins a span within a call's.

    Raises:
        ConfigurationError: tracing is off.
    """
    if broker.tracer is None:
        raise ConfigurationError("tracing is off: make the broker with tracing=True")
    return broker.tracer.start_span(name, options, ctx)
