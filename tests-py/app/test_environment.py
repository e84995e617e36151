"""Defaults of the whole process, which `JARARACA_…` variables set: each has its effect, and a wrong one says so."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from ironbridge.app import T_BASEMODEL, const
from pydantic import BaseModel

TRACED = """
import asyncio
from ironbridge.app import *
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

class Counted(Message):
    MESSAGE_TOPIC = "counted"

handled = asyncio.Event()

@MessageBusController()
@RestController("/counts")
class Counts:
    @Get("/{number}")
    async def count(self, number: int) -> None:
        await Counted().publish()

    @MessageHandler(Counted)
    async def handle(self, message: MessageOf[Counted]) -> None:
        handled.set()

exporter = InMemorySpanExporter()
provider = OtelObservabilityProvider("counting", span_exporter=exporter)
bus = MessageBusPublisherInterceptor("memory://counting")
web = create_http_server(Microservice(controllers=[Counts], interceptors=[ObservabilityInterceptor(provider), bus]))

async def main():
    import httpx
    async with web.router.lifespan_context(web):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(web), base_url="http://test") as client:
            await client.get("/counts/5")
        await asyncio.wait_for(handled.wait(), 10)
    spans = {one.name: one for one in exporter.get_finished_spans()}
    names = sorted(spans)
    traces = len({one.context.trace_id for one in spans.values()})
    environment = provider.tracer_provider.resource.attributes.get("deployment.environment.name")

asyncio.run(main())
"""


def told(environment: dict[str, str], code: str, expression: str) -> str:
    """What an expression is in a program with these variables."""
    if code == TRACED:
        code = code.replace("\nasyncio.run", f"    print({expression})\n\nasyncio.run")
    else:
        code += f"\nprint({expression})"
    variables = {f"JARARACA_{name}": value for name, value in environment.items()}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **variables}, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip() if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


FACE = "from ironbridge.app import *"
ENGINE = f"{FACE}; engine = AIOSqlAlchemySessionInterceptor(AIOSQAConfig(url='postgresql+asyncpg://host/shop')).engine"


@pytest.mark.parametrize(
    ("environment", "code", "expression", "is_told"),
    [
        ({"PAGINATION_DEFAULT_PAGE": "1"}, FACE, "PaginatedFilter().page", "1"),
        ({"PAGINATION_DEFAULT_PAGE_SIZE": "7"}, FACE, "PaginatedFilter().page_size", "7"),
        ({"PAGINATION_DEFAULT_PAGE_SIZE": "7"}, FACE, "PaginatedFilter(offset=14).page", "2"),
        ({"PAGINATION_MAX_PAGE_SIZE": "500"}, FACE, "PaginatedFilter(page_size=500).page_size", "500"),
        ({"RETRY_DEFAULT_MAX_RETRIES": "2"}, FACE, "RetryPolicy().max_retries", "2"),
        ({"RETRY_DEFAULT_INITIAL_DELAY": "0.5"}, FACE, "RetryPolicy(jitter=False).delay(1)", "1.0"),
        ({"RETRY_DEFAULT_MAX_DELAY": "3"}, FACE, "RetryPolicy().delay(9)", "3.0"),
        ({"RETRY_DEFAULT_BACKOFF_FACTOR": "3"}, FACE, "RetryPolicy(jitter=False).delay(2)", "9.0"),
        ({"RETRY_DEFAULT_JITTER": "no"}, FACE, "RetryPolicy().delay(1)", "2.0"),
        ({"HTTP_RPC_DEFAULT_RETRY_ATTEMPTS": "9"}, FACE, "RPCRetryPolicy().max_attempts", "9"),
        ({"HTTP_RPC_DEFAULT_RETRY_BACKOFF": "0.1"}, FACE, "RPCRetryPolicy().backoff_factor", "0.1"),
        ({"MESSAGEBUS_HANDLER_TIMEOUT": "4"}, FACE, "MessageHandler(Message).timeout", "4.0"),
        ({"MESSAGEBUS_HANDLER_GROUP": "slow"}, FACE, "MessageHandler(Message).group", "slow"),
        ({"SCHEDULER_ACTION_GROUP": "night"}, FACE, "ScheduledAction('* * * * *').group", "night"),
        (
            {"DEFAULT_TIMEZONE": "Mars"},
            *(FACE, "ScheduledAction('* * * * *')"),
            "ironbridge.errors.ConfigurationError: 'Mars' is no time zone that this machine knows",
        ),
        ({"DB_POOL_SIZE": "3"}, ENGINE, "engine.pool.size()", "3"),
        ({"DB_ECHO": "yes"}, ENGINE, "engine.echo", "True"),
        ({"APP_ENVIRONMENT": "staging"}, TRACED, "environment", "staging"),
        ({}, TRACED, "*names, traces", "HTTP GET /counts/{number} PUBLISH counted TASK counted 2"),
        ({"OBSERVABILITY_TRACE_ASYNC_BOUNDARY": "child"}, TRACED, "traces", "1"),
        ({"OBSERVABILITY_TRACE_PUBLISH_SPAN": "off"}, TRACED, "*names", "HTTP GET /counts/{number} TASK counted"),
        ({"OBSERVABILITY_TRACE_SAMPLE_RATE": "0"}, TRACED, "len(spans)", "0"),
        (
            {"OBSERVABILITY_TRACE_SPAN_HTTP_REQUEST_USE_ABSOLUTE_PATH_ON_TITLE": "1"},
            *(TRACED, "names[0]", "HTTP GET /counts/5"),
        ),
        (
            {"OBSERVABILITY_TRACE_MESSAGEBUS_SPAN_NAME_STYLE": "legacy"},
            *(TRACED, "names[0]", "Att#1 Message Bus counted.__main__.Counts.handle"),
        ),
    ],
)
def test_a_variable_sets_a_default(environment: dict[str, str], code: str, expression: str, is_told: str) -> None:
    assert told(environment, code, expression) == is_told


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("PAGINATION_MAX_PAGE_SIZE", "many", "must be a number"),
        ("PAGINATION_MAX_PAGE_SIZE", "2.5", "must be a whole number"),
        ("OBSERVABILITY_TRACE_SAMPLE_RATE", "50", "must be at least 0 and at most 1"),
        ("OBSERVABILITY_TRACE_ASYNC_BOUNDARY", "none", "must be one of link, child"),
        ("RETRY_DEFAULT_JITTER", "perhaps", "must be one of 1, true, yes, on, 0, false, no, off"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str, wanted: str) -> None:
    error = told({name: value}, FACE, "const.PAGINATION_DEFAULT_PAGE")
    assert error.startswith(f"ironbridge.errors.ConfigurationError: JARARACA_{name}=") and wanted in error


def test_the_defaults_are_constants_and_the_type_of_models_is_there() -> None:
    assert (const.PAGINATION_DEFAULT_PAGE_SIZE, const.DEFAULT_TIMEZONE) == (10, "UTC")
    bound: Any = T_BASEMODEL.__bound__
    assert bound is BaseModel
