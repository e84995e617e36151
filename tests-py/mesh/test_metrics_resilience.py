"""What is counted of retries, circuit breakers, bulkheads and fallbacks, under Moleculer's names."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ironbridge.mesh import Broker, Context, MoleculerRetryableError, QueueIsFullError


def value(broker: Broker, name: str, **labels: Any) -> Any:
    return broker.metrics.get_metric(f"moleculer.{name}").get({"service": "it", **labels})


async def test_retries_fallbacks_and_open_circuits_are_counted(namespace: str) -> None:
    async def act(ctx: Context) -> None:
        raise MoleculerRetryableError("not yet", 503)

    retries = {"enabled": True, "retries": 2, "delay": 1}
    breaker = {"enabled": True, "minRequestCount": 1, "halfOpenTime": 60_000}
    broker = Broker("one", transporter="memory", namespace=namespace, metrics=True)
    actions = {
        "retried": {"handler": act, "retryPolicy": retries},
        "replaced": {"handler": act, "fallback": "instead"},
        "broken": {"handler": act, "circuitBreaker": breaker},
    }
    broker.create_service({"name": "it", "actions": actions})
    async with broker:
        for name in ("retried", "broken"):
            with pytest.raises(MoleculerRetryableError):
                await broker.call(f"it.{name}")
        assert await broker.call("it.replaced") == "instead"
    assert value(broker, "request.retry.attempts.total", action="it.retried") == 2
    assert value(broker, "request.fallback.total", action="it.replaced") == 1
    circuit = {"affectedNodeID": "one", "action": "it.broken"}
    assert value(broker, "circuit-breaker.opened.total", **circuit) == 1
    assert value(broker, "circuit-breaker.opened.active", **circuit) == 1
    assert value(broker, "circuit-breaker.half-opened.active", **circuit) == 0


async def test_what_runs_and_waits_at_a_bulkhead_is_measured(namespace: str) -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    async def act(ctx: Context) -> None:
        begun.set()
        await end.wait()

    broker = Broker("one", transporter="memory", namespace=namespace, metrics=True)
    bulkhead = {"enabled": True, "concurrency": 1, "maxQueueSize": 1}
    broker.create_service({"name": "it", "actions": {"act": {"handler": act, "bulkhead": bulkhead}}})

    def measured() -> tuple[Any, Any]:
        names = ("request.bulkhead.inflight", "request.bulkhead.queue.size")
        return tuple(value(broker, name, action="it.act") for name in names)  # type: ignore[return-value]

    async with broker:
        first = asyncio.ensure_future(broker.call("it.act"))
        await begun.wait()
        assert measured() == (1, 0)
        second = asyncio.ensure_future(broker.call("it.act"))
        with pytest.raises(QueueIsFullError):
            await asyncio.wait_for(asyncio.ensure_future(broker.call("it.act")), 5)
        assert measured() == (1, 1)
        end.set()
        await asyncio.gather(first, second)
    assert measured() == (0, 0)
