"""What happens when actions fail or are overrun: retries, circuit breakers, bulkheads and fallbacks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ironbridge.mesh import (
    Broker,
    BrokerOptionsError,
    Context,
    MoleculerClientError,
    MoleculerError,
    MoleculerRetryableError,
    QueueIsFullError,
    ServiceNotAvailableError,
    ServiceSchemaError,
)

from mesh.meeting import Meeting

QUICK = {"enabled": True, "delay": 5}


class Failing:
    """A handler that fails so many times, and then tells how often it was called."""

    def __init__(self, times: int, error: type[MoleculerError] = MoleculerRetryableError) -> None:
        self.times, self.error, self.count = times, error, 0
        self.at: list[float] = []

    async def __call__(self, ctx: Context) -> int:
        self.count += 1
        self.at.append(time.monotonic())
        if self.count <= self.times:
            raise self.error("not yet", 503)
        return self.count


def service(name: str = "it", **actions: Any) -> dict[str, Any]:
    return {"name": name, "actions": actions}


def memory(node: str, namespace: str, **options: Any) -> Broker:
    return Broker(node, transporter="memory", namespace=namespace, **options)


class Told:
    """The events that a broker has heard."""

    def __init__(self, broker: Broker, pattern: str) -> None:
        self.heard: list[tuple[str, Any]] = []
        self._news = asyncio.Event()
        broker.create_service({"name": "listener", "events": {pattern: self._hear}})

    async def _hear(self, ctx: Context) -> None:
        self.heard.append((str(ctx.event_name), ctx.params))
        self._news.set()

    async def wait(self, event: str, count: int = 1) -> Any:
        """What was told with it the `count`th time."""
        async with asyncio.timeout(10):
            while len(found := [params for name, params in self.heard if name == event]) < count:
                self._news.clear()
                await self._news.wait()
        return found[count - 1]


# ---- retries ---------------------------------------------------------------------------------------------


async def test_a_call_that_may_go_well_another_time_is_made_again(namespace: str) -> None:
    handler = Failing(2)
    async with memory("one", namespace, retry_policy={**QUICK, "delay": 20}) as broker:
        broker.create_service(service(act=handler))
        await broker.wait_for_services("it", 5000)
        assert await broker.call("it.act") == 3
    first, second, third = handler.at
    assert second - first >= 0.02
    assert third - second >= 0.04


async def test_a_call_is_retried_as_often_as_its_option_says_and_only_for_errors_that_allow_it(namespace: str) -> None:
    often, once = Failing(100), Failing(100, MoleculerClientError)
    async with memory("one", namespace, retry_policy=QUICK) as broker:
        broker.create_service(service(often=often, once=once))
        await broker.wait_for_services("it", 5000)
        with pytest.raises(MoleculerRetryableError, match="not yet"):
            await broker.call("it.often", retries=2)
        assert often.count == 3
        with pytest.raises(MoleculerRetryableError):
            await broker.call("it.often", retries=0)
        assert often.count == 4
        with pytest.raises(MoleculerClientError):
            await broker.call("it.once")
        assert once.count == 1


async def test_a_retry_goes_to_another_node_and_the_node_that_failed_does_not_retry_itself(namespace: str) -> None:
    bad, good = Failing(100), Failing(0)
    one, two = memory("one", namespace, retry_policy=QUICK), memory("two", namespace)
    far = memory("far", namespace, retry_policy=QUICK)
    one.create_service(service(act=bad))
    two.create_service(service(act=good))
    async with one, two, far:
        await asyncio.gather(*(far.call("it.act") for _ in range(4)))
        # Nodes take turns: what failed at the first was answered by the second, as its callers asked again.
        assert good.count == 4
        assert 1 <= bad.count <= 4


async def test_an_action_of_its_own_policy_is_retried_where_the_broker_has_none(namespace: str) -> None:
    async with memory("one", namespace) as broker:

        async def asks(ctx: Context) -> Any:
            return await ctx.service.actions.hidden({})

        policy = {"enabled": True, "retries": 1, "delay": 1, "maxDelay": 2, "check": lambda error: True}
        broker.create_service(
            service(
                act={"retryPolicy": policy, "handler": Failing(1, MoleculerClientError)},
                hidden={"visibility": "private", "retryPolicy": policy, "handler": Failing(1)},
                asks=asks,
            )
        )
        await broker.wait_for_services("it", 5000)
        assert await broker.call("it.act") == 2
        assert await broker.call("it.asks") == 2


async def test_what_a_javascript_node_fails_at_is_retried(at_redis: Meeting) -> None:
    peer = at_redis.js("4", "theirs", services=["limited"])
    async with Broker("ours", transporter=at_redis.url, namespace=at_redis.namespace, retry_policy=QUICK) as broker:
        await broker.wait_for_services("limited", 5000)
        assert await broker.call("limited.retried", {"key": "a", "times": 2}) == 3
        peer.wait("attempt", key="a", number=3)
        assert [event["number"] for event in peer.events("attempt", key="a")] == [1, 2, 3]


async def test_javascript_retries_what_fails_here(at_redis: Meeting) -> None:
    peer = at_redis.js("4", "theirs", services=[], retryPolicy={"enabled": True, "delay": 5})
    handler = Failing(2)
    async with Broker("ours", transporter=at_redis.url, namespace=at_redis.namespace, retry_policy=QUICK) as broker:
        broker.create_service(service(act=handler))
        await asyncio.to_thread(peer.ask, "waitForServices", services=["it"])
        assert await asyncio.to_thread(peer.call, "it.act", {}) == 3
        assert handler.count == 3


# ---- circuit breakers --------------------------------------------------------------------------------------

BREAKER = {"enabled": True, "minRequestCount": 4, "halfOpenTime": 150}


class Ill:
    """A handler that fails while it is ill."""

    def __init__(self) -> None:
        self.ill, self.count = True, 0

    async def __call__(self, ctx: Context) -> str:
        self.count += 1
        if self.ill:
            raise MoleculerError("ill", 500)
        return str(ctx.broker.node_id)


async def fail(broker: Broker, times: int, action: str = "it.act") -> None:
    for _ in range(times):
        with pytest.raises(MoleculerError, match="ill"):
            await broker.call(action)


async def test_an_open_breaker_lets_one_call_through_after_its_pause_and_closes_when_it_goes_well(
    namespace: str,
) -> None:
    handler = Ill()
    there, here = memory("there", namespace), memory("here", namespace, circuit_breaker=BREAKER)
    there.create_service(service(act=handler))
    told = Told(there, "$circuit-breaker.*")
    async with there, here:
        await here.wait_for_services("it", 5000)
        await fail(here, 4)
        about = {"nodeID": "there", "service": "it", "action": "it.act"}
        assert await told.wait("$circuit-breaker.opened") == {**about, "failures": 4, "count": 4, "rate": 1}
        with pytest.raises(ServiceNotAvailableError):
            await here.call("it.act")
        assert handler.count == 4

        # One goes through, and opens it again.
        assert await told.wait("$circuit-breaker.half-opened") == about
        await fail(here, 1)
        await told.wait("$circuit-breaker.opened", 2)
        with pytest.raises(ServiceNotAvailableError):
            await here.call("it.act")
        assert handler.count == 5

        await told.wait("$circuit-breaker.half-opened", 2)
        handler.ill = False
        assert await here.call("it.act") == "there"
        assert await told.wait("$circuit-breaker.closed") == about
        assert await asyncio.gather(*(here.call("it.act") for _ in range(3))) == ["there"] * 3


async def test_while_a_breaker_tries_one_call_others_are_refused(namespace: str) -> None:
    handler, held = Ill(), asyncio.Event()

    async def act(ctx: Context) -> str:
        if handler.count >= 4:
            handler.count += 1
            await held.wait()
            return "well"
        return await handler(ctx)

    there, here = memory("there", namespace), memory("here", namespace, circuit_breaker={**BREAKER, "halfOpenTime": 50})
    there.create_service(service(act=act))
    told = Told(here, "$circuit-breaker.*")
    async with there, here:
        await here.wait_for_services("it", 5000)
        await fail(here, 4)
        await told.wait("$circuit-breaker.half-opened")
        tried = asyncio.create_task(here.call("it.act"))
        await begun([tried])
        with pytest.raises(ServiceNotAvailableError):
            await here.call("it.act")
        # Nothing has come of it for so long that another call is let through.
        await told.wait("$circuit-breaker.half-opened", 2)
        held.set()
        assert await here.call("it.act") == await tried == "well"


async def test_calls_go_to_other_nodes_while_a_breaker_is_open(namespace: str) -> None:
    bad, good = Ill(), Ill()
    good.ill = False
    one, two = memory("one", namespace), memory("two", namespace)
    here = memory("here", namespace, circuit_breaker={**BREAKER, "halfOpenTime": 10_000, "minRequestCount": 2})
    one.create_service(service(act=bad))
    two.create_service(service(act=good))
    told = Told(here, "$circuit-breaker.*")
    async with one, two, here:
        await asyncio.gather(*(here.call("it.act") for _ in range(4)), return_exceptions=True)
        await told.wait("$circuit-breaker.opened")
        assert [await here.call("it.act") for _ in range(5)] == ["two"] * 5
        assert bad.count == 2


async def test_errors_that_are_the_callers_fault_or_of_nodes_behind_do_not_open_a_breaker(namespace: str) -> None:
    async def behind(ctx: Context) -> None:
        raise MoleculerError("ill", 500, node_id="behind")

    async def client(ctx: Context) -> None:
        raise MoleculerClientError("ill", 422)

    async with memory("here", namespace, circuit_breaker={**BREAKER, "minRequestCount": 2}) as here:
        here.create_service(service(client=client, behind=behind))
        await here.wait_for_services("it", 5000)
        await fail(here, 5, "it.behind")
        await fail(here, 5, "it.client")


async def test_a_breaker_of_an_action_of_this_node_opens_here_and_for_others(namespace: str) -> None:
    handler = Ill()
    own = {"enabled": True, "min_request_count": 2, "half_open_time": 10_000}
    here, other = memory("here", namespace), memory("other", namespace)
    here.create_service(service(act={"circuit_breaker": own, "handler": handler}))
    async with here, other:
        await other.wait_for_services("it", 5000)
        await fail(here, 2)
        for broker in (here, other):
            with pytest.raises(ServiceNotAvailableError):
                await broker.call("it.act")
        assert handler.count == 2


async def test_old_failures_are_forgotten_with_their_window(namespace: str) -> None:
    handler = Ill()
    policy = {**BREAKER, "windowTime": 0.05, "minRequestCount": 3}
    async with memory("here", namespace, circuit_breaker=policy) as here:
        here.create_service(service(act=handler))
        await here.wait_for_services("it", 5000)
        await fail(here, 2)
        await asyncio.sleep(0.06)
        await fail(here, 2)
        handler.ill = False
        assert await here.call("it.act") == "here"


async def test_a_javascript_action_that_keeps_failing_is_not_called_for_a_while(at_redis: Meeting) -> None:
    peer = at_redis.js("4", "theirs", services=["errors"])
    await asyncio.to_thread(peer.ask, "create", name="listener", events={"$circuit-breaker.*": {}})
    options: dict[str, Any] = {"namespace": at_redis.namespace, "circuit_breaker": {**BREAKER, "halfOpenTime": 100}}
    async with Broker("ours", transporter=at_redis.url, **options) as broker:
        told = Told(broker, "$circuit-breaker.*")
        await broker.wait_for_services(["errors", "listener"], 5000)
        for _ in range(4):
            with pytest.raises(MoleculerError, match="It broke"):
                await broker.call("errors.raise", {"kind": "MoleculerError"})
        with pytest.raises(ServiceNotAvailableError):
            await broker.call("errors.raise", {"kind": "MoleculerError"})
        await told.wait("$circuit-breaker.half-opened")
        with pytest.raises(MoleculerError, match="It broke"):
            await broker.call("errors.raise", {"kind": "MoleculerError"})
        heard = await asyncio.to_thread(peer.wait_event, "$circuit-breaker.opened", count=2)
        about = {"nodeID": "theirs", "service": "errors", "action": "errors.raise"}
        assert heard["params"] == {**about, "failures": 5, "count": 5, "rate": 1}


async def test_what_a_javascript_action_says_of_its_circuit_counts_where_the_broker_says_nothing(
    at_redis: Meeting,
) -> None:
    at_redis.js("4", "theirs", services=["limited"])
    async with Broker("ours", transporter=at_redis.url, namespace=at_redis.namespace) as broker:
        told = Told(broker, "$circuit-breaker.*")
        await broker.wait_for_services(["limited"], 5000)
        for _ in range(4):
            with pytest.raises(MoleculerError, match="Broken"):
                await broker.call("limited.broken", {"fails": True})
        # Both nodes have a circuit for it, and tell all nodes of it.
        await told.wait("$circuit-breaker.half-opened", 2)
        assert await broker.call("limited.broken", {"fails": False}) == "theirs"
        assert (await told.wait("$circuit-breaker.closed", 2))["service"] == "limited"


# ---- bulkheads ---------------------------------------------------------------------------------------------


class Counting:
    """A handler that waits to be let go, and knows how many run."""

    def __init__(self) -> None:
        self.running = self.most = self.done = 0
        self.go = asyncio.Event()

    async def __call__(self, ctx: Context) -> int:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.go.wait()
            self.done += 1
            return int(ctx.params["number"])
        finally:
            self.running -= 1


async def begun(calls: list[asyncio.Task[Any]]) -> None:
    for _ in range(3 * len(calls)):
        await asyncio.sleep(0)


async def test_only_so_many_calls_run_at_a_time_and_only_so_many_wait(namespace: str) -> None:
    handler = Counting()
    async with memory("one", namespace, bulkhead={"enabled": True, "concurrency": 2, "maxQueueSize": 3}) as broker:
        broker.create_service(service(act=handler))
        await broker.wait_for_services("it", 5000)
        calls = [asyncio.create_task(broker.call("it.act", {"number": number})) for number in range(5)]
        await begun(calls)
        with pytest.raises(QueueIsFullError, match=r"it\.act") as full:
            await broker.call("it.act", {"number": 6})
        assert (full.value.code, full.value.data["limit"], full.value.retryable) == (429, 3, True)
        assert handler.running == 2
        handler.go.set()
        assert await asyncio.gather(*calls) == [0, 1, 2, 3, 4]
        assert handler.most == 2


async def test_a_caller_that_gives_up_leaves_its_place_to_the_next(namespace: str) -> None:
    handler = Counting()
    async with memory("one", namespace) as broker:
        own = {"enabled": True, "concurrency": 1, "max_queue_size": 2}
        broker.create_service(service(act={"bulkhead": own, "handler": handler}))
        await broker.wait_for_services("it", 5000)
        calls = [asyncio.create_task(broker.call("it.act", {"number": number})) for number in range(3)]
        await begun(calls)
        calls[1].cancel()
        await begun(calls)
        late = asyncio.create_task(broker.call("it.act", {"number": 3}))
        await begun(calls)
        calls[0].cancel()
        handler.go.set()
        assert await asyncio.gather(calls[2], late) == [2, 3]
        assert (handler.most, handler.done) == (1, 2)


async def test_listeners_have_bulkheads_and_a_new_service_does_not_lift_them(namespace: str) -> None:
    handler = Counting()
    async with memory("one", namespace) as broker:
        own = {"enabled": True, "concurrency": 1, "maxQueueSize": 1}
        broker.create_service({"name": "ears", "events": {"noise": {"bulkhead": own, "handler": handler}}})
        await broker.wait_for_services("ears", 5000)
        told = [asyncio.create_task(broker.emit("noise", {"number": number})) for number in range(2)]
        await begun(told)
        broker.create_service(service(act=handler))
        await broker.wait_for_services("it", 5000)
        # There is no room for it: it is logged, and dropped.
        await broker.emit("noise", {"number": 2})
        assert handler.running == 1
        handler.go.set()
        await asyncio.gather(*told)
        assert (handler.most, handler.done) == (1, 2)


async def test_javascript_is_told_that_a_queue_is_full_here(at_redis: Meeting) -> None:
    peer = at_redis.js("4", "theirs", services=[])
    handler = Counting()
    async with Broker("ours", transporter=at_redis.url, namespace=at_redis.namespace) as broker:
        own = {"enabled": True, "concurrency": 1, "maxQueueSize": 1}
        broker.create_service(service(act={"bulkhead": own, "handler": handler}))
        await asyncio.to_thread(peer.ask, "waitForServices", services=["it"])
        calls = [peer.begin_call("it.act", {"number": number}) for number in range(3)]
        refused = await asyncio.to_thread(peer.wait, "done", 10, number=calls[2])
        assert (refused["error"]["kinds"][0], refused["error"]["code"]) == ("QueueIsFullError", 429)
        handler.go.set()
        assert [(await asyncio.to_thread(peer.answer, call)).result for call in calls[:2]] == [0, 1]


# ---- fallbacks ---------------------------------------------------------------------------------------------


async def broken(_ctx: Context) -> None:
    raise ValueError("broken")


async def later(ctx: Context, error: Exception) -> str:
    return f"instead of {error}"


@pytest.mark.parametrize(
    ("fallback", "answer"),
    [("spare", "spare for broken"), (later, "instead of broken"), ({"empty": True}, {"empty": True}), (0, 0)],
    ids=["method", "function", "value", "zero"],
)
async def test_an_action_that_fails_answers_with_its_fallback(fallback: Any, answer: Any, namespace: str) -> None:
    def spare(self: Any, ctx: Context, error: Exception) -> str:
        return f"spare for {error}"

    one, far = memory("one", namespace), memory("far", namespace)
    one.create_service({**service(act={"fallback": fallback, "handler": broken}), "methods": {"spare": spare}})
    async with one, far:
        await far.wait_for_services("it", 5000)
        assert await one.call("it.act") == answer
        assert await far.call("it.act") == answer


@pytest.mark.parametrize("node", ["one", "far"])
async def test_a_call_brings_its_own_fallback_for_any_error(node: str, namespace: str) -> None:
    brokers = {name: memory(name, namespace) for name in ("one", "far")}
    brokers["one"].create_service(service(act={"fallback": "the action's", "handler": broken}))
    async with brokers["one"], brokers["far"]:
        caller = brokers[node]
        await caller.wait_for_services("it", 5000)
        # At another node, the action's own fallback has answered before the caller's could.
        answer = "mine" if node == "one" else "the action's"
        assert await caller.call("it.act", fallback_response="mine") == answer
        assert await caller.call("it.none", fallback_response=[]) == []
        seen: list[str] = []

        def respond(ctx: Context, error: Exception) -> str:
            seen.append(type(error).__name__)
            return str(ctx.params["x"])

        assert await caller.call("it.none", {"x": 1}, fallback_response=respond) == "1"
        assert seen == ["ServiceNotFoundError"]


# ---- what is told wrong --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"retry_policy": {"enabled": True, "tries": 3}},
        {"circuit_breaker": {"threshold": "half"}},
        {"bulkhead": {"concurrency": -1}},
        {"tracking": 5000},
        {"retry_policy": {"check": "always"}},
    ],
    ids=str,
)
def test_a_policy_that_is_told_wrong_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BrokerOptionsError, match=next(iter(options))):
        Broker("one", transporter="memory", **options)


async def test_an_action_with_a_wrong_policy_is_refused(namespace: str) -> None:
    broker = memory("one", namespace)
    with pytest.raises(ServiceSchemaError, match=r"it\.act: concurency=3"):
        broker.create_service(service(act={"bulkhead": {"enabled": True, "concurency": 3}, "handler": broken}))


# ---- the broker's error handler ------------------------------------------------------------------------------


async def test_the_error_handler_sees_each_error_and_answers_in_its_place(namespace: str) -> None:
    seen: list[tuple[str, dict[str, Any]]] = []

    def handle(error: Exception, info: dict[str, Any]) -> str:
        seen.append((str(error), info))
        assert error.ctx is info["ctx"]  # type: ignore[attr-defined]
        if isinstance(error, MoleculerRetryableError):
            raise MoleculerClientError("translated", 418)
        return "handled"

    options = {"error_handler": handle, "retry_policy": {**QUICK, "retries": 2}}
    here, there = memory("here", namespace, **options), memory("there", namespace)
    local = here.create_service(service("mine", act=broken))
    there.create_service(service(act=broken, again=Failing(100)))
    async with here, there:
        await here.wait_for_services("it", 5000)
        assert await here.call("mine.act") == "handled"
        assert seen[0][1]["service"] is local and seen[0][1]["action"].name == "mine.act"
        assert await here.call("it.act") == "handled"
        assert (seen[1][0], seen[1][1]["action"].name, seen[1][1]["service"]) == ("broken", "it.act", None)
        # Once for all attempts together.
        with pytest.raises(MoleculerClientError, match="translated"):
            await here.call("it.again")
        assert len(seen) == 3


async def test_the_error_handler_sees_what_listeners_raise(namespace: str, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Any] = []
    handle: Callable[[Exception, dict[str, Any]], Awaitable[None] | None] = lambda error, info: seen.append(info)  # noqa: E731
    async with memory("here", namespace, error_handler=handle) as here:
        here.create_service({"name": "ears", "events": {"noise": broken}})
        await here.wait_for_services("ears", 5000)
        await here.emit("noise")
        assert [info["event"].name for info in seen] == ["noise"]
    assert "broken" not in caplog.text
