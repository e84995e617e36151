"""Defaults that the environment sets, read once: `JARARACA_` and the constant's name. All times are in seconds.

What code gives explicitly comes before them. The original names more, which nothing reads there; here each has its effect.
"""

from __future__ import annotations

from .environment import choice, flag, number, text, whole

APP_ENVIRONMENT = text("APP_ENVIRONMENT")
"""What telemetry calls the place that the application runs in: `deployment.environment.name`."""
DEFAULT_TIMEZONE = text("DEFAULT_TIMEZONE") or "UTC"
"""Of cron expressions and times that say none."""

PAGINATION_DEFAULT_PAGE = whole("PAGINATION_DEFAULT_PAGE", 0)
PAGINATION_DEFAULT_PAGE_SIZE = whole("PAGINATION_DEFAULT_PAGE_SIZE", 10, 1)
PAGINATION_MAX_PAGE_SIZE = whole("PAGINATION_MAX_PAGE_SIZE", 100, 1)

DB_ECHO = flag("DB_ECHO", False)
DB_POOL_SIZE = whole("DB_POOL_SIZE", None)
DB_MAX_OVERFLOW = whole("DB_MAX_OVERFLOW", None, -1)
DB_POOL_TIMEOUT = number("DB_POOL_TIMEOUT", None)
DB_POOL_RECYCLE = whole("DB_POOL_RECYCLE", None, -1)
"""Where the environment says nothing of its pool, SQLAlchemy's defaults hold."""

RETRY_DEFAULT_MAX_RETRIES = whole("RETRY_DEFAULT_MAX_RETRIES", 5)
RETRY_DEFAULT_INITIAL_DELAY = number("RETRY_DEFAULT_INITIAL_DELAY", 1.0)
RETRY_DEFAULT_MAX_DELAY = number("RETRY_DEFAULT_MAX_DELAY", 60.0)
RETRY_DEFAULT_BACKOFF_FACTOR = number("RETRY_DEFAULT_BACKOFF_FACTOR", 2.0, 1.0)
RETRY_DEFAULT_JITTER = flag("RETRY_DEFAULT_JITTER", True)

HTTP_RPC_DEFAULT_TIMEOUT = number("HTTP_RPC_DEFAULT_TIMEOUT", 30.0)
HTTP_RPC_DEFAULT_RETRY_ATTEMPTS = whole("HTTP_RPC_DEFAULT_RETRY_ATTEMPTS", 3, 1)
HTTP_RPC_DEFAULT_RETRY_BACKOFF = number("HTTP_RPC_DEFAULT_RETRY_BACKOFF", 1.0)

MESSAGEBUS_DEFAULT_PREFETCH_COUNT = whole("MESSAGEBUS_DEFAULT_PREFETCH_COUNT", 100)
SCHEDULER_MAX_CONCURRENT_JOBS = whole("SCHEDULER_MAX_CONCURRENT_JOBS", 10, 1)

OBSERVABILITY_TRACE_ASYNC_BOUNDARY = choice("OBSERVABILITY_TRACE_ASYNC_BOUNDARY", ("link", "child"))
"""Whether a message's trace is linked to its publisher's, or a part of it, where its class does not say."""
OBSERVABILITY_TRACE_ASYNC_BOUNDARY_ON_RETRY = choice("OBSERVABILITY_TRACE_ASYNC_BOUNDARY_ON_RETRY", ("link", "child"))
"""The same from the second attempt on."""
OBSERVABILITY_TRACE_MESSAGEBUS_SPAN_NAME_STYLE = choice(
    "OBSERVABILITY_TRACE_MESSAGEBUS_SPAN_NAME_STYLE", ("compact", "legacy")
)
"""Whether a message's span is `TASK topic`, or `Att#1 Message Bus queue`."""
OBSERVABILITY_TRACE_PUBLISH_SPAN = flag("OBSERVABILITY_TRACE_PUBLISH_SPAN", True)
"""Whether publishing is a span of its own."""
OBSERVABILITY_TRACE_SAMPLE_RATE = number("OBSERVABILITY_TRACE_SAMPLE_RATE", 1.0, 0.0, 1.0)
"""The part of all traces that begin here which is recorded."""
OBSERVABILITY_TRACE_SPAN_HTTP_REQUEST_USE_ABSOLUTE_PATH_ON_TITLE = flag(
    "OBSERVABILITY_TRACE_SPAN_HTTP_REQUEST_USE_ABSOLUTE_PATH_ON_TITLE", False
)
"""Whether a request's span is named after its path, instead of its route."""
