"""OpenTelemetry's own side of trust: for instrumentation that reads traces from requests before any middleware does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import ConfigurationError
from .inbound import Trust
from .provider import NEEDS

if TYPE_CHECKING:
    from opentelemetry.propagators.textmap import TextMapPropagator
else:
    try:
        from opentelemetry.propagators.textmap import TextMapPropagator
    except ImportError:
        TextMapPropagator = object


class TrustAwareTextMapPropagator(TextMapPropagator):
    """Takes traces only from whom `trust` tells to; what leaves here says its trace always.

        set_global_textmap(TrustAwareTextMapPropagator(trust_requests_without_origin()))

    Args:
        trust: as `InboundTraceContextMiddleware` has it. It gets an ASGI scope; of other carriers, one with their headers
            alone.
        inner: what reads and writes; W3C's trace context unless given.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """

    def __init__(self, trust: Trust, inner: TextMapPropagator | None = None) -> None:
        try:
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as missing:
            raise ConfigurationError(NEEDS) from missing
        self._trust, self._inner = trust, inner or TraceContextTextMapPropagator()

    def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Any:
        """The context that a request goes on in."""
        from opentelemetry.context import Context
        from opentelemetry.propagators.textmap import default_getter

        getter = getter or default_getter
        if not self._trust(_scope(carrier, getter)):
            return context if context is not None else Context()
        return self._inner.extract(carrier, context, getter)

    def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
        """Writes what goes along."""
        from opentelemetry.propagators.textmap import default_setter

        self._inner.inject(carrier, context, setter or default_setter)

    @property
    def fields(self) -> set[str]:
        """The headers that are written."""
        return self._inner.fields


def _scope(carrier: Any, getter: Any) -> Any:
    if isinstance(carrier, dict) and isinstance(carrier.get("headers"), list):
        return carrier
    headers = [
        (name.lower().encode(), value.encode("latin-1", "replace"))
        for name in getter.keys(carrier)
        for value in getter.get(carrier, name) or ()
    ]
    return {"type": "http", "headers": headers}
