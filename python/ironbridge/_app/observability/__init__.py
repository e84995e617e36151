"""Traces, metrics and logs of an application, by OpenTelemetry. Nothing of it is imported unless it is configured."""
