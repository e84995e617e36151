"""Where an application's traces, metrics and logs go."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Self

from ...errors import ConfigurationError
from .. import const

NEEDS = "this needs OpenTelemetry: pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"


class OtelObservabilityProvider:
    """OpenTelemetry's providers of one application.

    Args:
        app_name: `service.name` of all.
        span_exporter, meter_exporter, logs_exporter: OpenTelemetry's exporters; without one there is nothing of the kind.
            A metric reader is taken in the second's place.
        logging_handler_callback: what is done with the handler of log records; it is added to the root logger unless given.
        meter_export_interval: milliseconds.
        attributes: more that is told of the application.
        as_global: whether it is the program's own provider, too, if that has none: then instrumentation of other
            libraries tells it of its spans, FastAPI's own among them.

    Raises:
        ConfigurationError: OpenTelemetry's SDK is not installed.
    """

    def __init__(
        self,
        app_name: str,
        *,
        logs_exporter: Any = None,
        span_exporter: Any = None,
        meter_exporter: Any = None,
        logging_handler_callback: Callable[[logging.Handler], None] | None = None,
        meter_export_interval: float = 5000,
        attributes: Mapping[str, Any] | None = None,
        as_global: bool = False,
    ) -> None:
        try:
            from opentelemetry.sdk.metrics import MeterProvider
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as missing:
            raise ConfigurationError(NEEDS) from missing
        place = {"deployment.environment.name": const.APP_ENVIRONMENT} if const.APP_ENVIRONMENT else {}
        resource = Resource.create({"service.name": app_name, **place, **(attributes or {})})
        self.tracer_provider = TracerProvider(resource=resource, sampler=_sampler())
        if span_exporter is not None:
            self.tracer_provider.add_span_processor(BatchSpanProcessor(span_exporter))
        readers = [_reader(meter_exporter, meter_export_interval)] if meter_exporter is not None else []
        self.meter_provider = MeterProvider(metric_readers=readers, resource=resource)
        self._handler: logging.Handler | None = None
        self._logs = _logs(logs_exporter, resource) if logs_exporter is not None else None
        self._on_handler, self._is_global = logging_handler_callback, as_global

    @classmethod
    def from_url(
        cls, app_name: str, *, url: str, headers: Mapping[str, str] | None = None, with_logs: bool = True, **more: Any
    ) -> Self:
        """All to a collector, by OTLP over HTTP, at `{url}/v1/traces`, `/v1/metrics` and `/v1/logs`.

        Raises:
            ConfigurationError: its exporters are not installed.
        """
        try:
            from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ImportError as missing:
            raise ConfigurationError(NEEDS) from missing
        place, told = url.rstrip("/"), dict(headers or {})
        return cls(
            app_name,
            span_exporter=OTLPSpanExporter(endpoint=f"{place}/v1/traces", headers=told),
            meter_exporter=OTLPMetricExporter(endpoint=f"{place}/v1/metrics", headers=told),
            logs_exporter=OTLPLogExporter(endpoint=f"{place}/v1/logs", headers=told) if with_logs else None,
            **more,
        )

    def start(self) -> None:
        """Begins."""
        from opentelemetry import metrics, trace

        if self._is_global and isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            trace.set_tracer_provider(self.tracer_provider)
            metrics.set_meter_provider(self.meter_provider)
        if self._logs is not None:
            self._handler = self._logs.handler
            (self._on_handler or logging.getLogger().addHandler)(self._handler)

    def stop(self) -> None:
        """Sends what is left; blocks for some seconds at most."""
        if self._handler is not None and self._on_handler is None:
            logging.getLogger().removeHandler(self._handler)
        self.tracer_provider.force_flush(5000)
        self.meter_provider.force_flush(5000)
        if self._logs is not None:
            self._logs.flush()


def _sampler() -> Any:
    """What the process says; else what OpenTelemetry's own variables do (`OTEL_TRACES_SAMPLER`)."""
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    rate = const.OBSERVABILITY_TRACE_SAMPLE_RATE
    return ParentBased(TraceIdRatioBased(rate)) if rate < 1 else None


def _reader(given: Any, interval: float) -> Any:
    from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader

    return given if isinstance(given, MetricReader) else PeriodicExportingMetricReader(given, interval)


class _Logs:
    """Log records on their way to an exporter."""

    def __init__(self, provider: Any, handler: logging.Handler) -> None:
        self._provider, self.handler = provider, handler

    def flush(self) -> None:
        """Sends what is left."""
        self._provider.force_flush(5000)


def _logs(exporter: Any, resource: Any) -> _Logs:
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    from .logs import OtelHandler

    provider = LoggerProvider(resource=resource)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    return _Logs(provider, OtelHandler(provider.get_logger("ironbridge.app")))
