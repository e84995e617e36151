"""Caching: answers that are kept in memory or in Redis, under Moleculer's keys, which nodes of both languages share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from harness import Redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ironbridge._mesh.caching.keys import Keys
from ironbridge.mesh import Broker, BrokerOptionsError, Context
from ironbridge.mesh.cachers import MemoryCacher, MemoryLRUCacher, RedisCacher

from mesh.marks import UNDEFINED
from mesh.meeting import Meeting
from mesh.peers import PROTOCOLS, JsNode, Protocol


class Counting:
    """A handler that counts its runs."""

    def __init__(self, answer: Any = UNDEFINED) -> None:
        self.runs, self.answer = 0, answer
        self.go: asyncio.Event | None = None

    async def __call__(self, ctx: Context) -> Any:
        self.runs += 1
        runs = self.runs
        if self.go is not None:
            await self.go.wait()
        return {"runs": runs} if self.answer is UNDEFINED else self.answer


def node(namespace: str, cacher: Any, handler: Any = None, **cache: Any) -> tuple[Broker, Any]:
    """A node with one action whose answers are kept, and its handler."""
    counting = handler or Counting()
    broker = Broker("one", transporter="memory", namespace=namespace, cacher=cacher)
    broker.create_service({"name": "it", "actions": {"act": {"cache": cache or True, "handler": counting}}})
    return broker, counting


@pytest.fixture(params=["memory", "memory-lru", "redis"])
def cacher(request: pytest.FixtureRequest, redis: Redis) -> Any:
    return f"redis://{redis.host}:{redis.port}/3" if request.param == "redis" else request.param


async def test_an_answer_is_made_once_for_the_same_parameters(namespace: str, cacher: Any) -> None:
    broker, counting = node(namespace, cacher)
    async with broker:
        assert await broker.call("it.act", {"a": 1}) == {"runs": 1}
        assert await broker.call("it.act", {"a": 1}) == {"runs": 1}
        assert await broker.call("it.act", {"a": 2}) == {"runs": 2}
        assert await broker.call("it.act", {"a": 1}, meta={"$cache": False}) == {"runs": 3}
        await broker.cacher.clean("it.**")
        assert await broker.call("it.act", {"a": 1}) == {"runs": 4}
    assert counting.runs == 4


async def test_an_answer_is_kept_for_its_time(namespace: str, cacher: Any) -> None:
    broker, _ = node(namespace, cacher, ttl=0.05)
    async with broker:
        assert await broker.call("it.act") == {"runs": 1}
        assert await broker.call("it.act") == {"runs": 1}
        await asyncio.sleep(0.06)
        assert await broker.call("it.act") == {"runs": 2}


async def test_a_context_knows_whether_its_answer_was_kept(namespace: str) -> None:
    broker, _ = node(namespace, True)
    seen: list[bool] = []

    async def watch(ctx: Context) -> Any:
        answer = await ctx.call("it.act")
        return answer

    class Watching:
        def local_action(self, next: Any, action: Any) -> Any:
            async def watching(ctx: Context) -> Any:
                answer = await next(ctx)
                if action.name == "it.act":
                    seen.append(ctx.cached_result)
                return answer

            return watching

    broker.middlewares._hooks["local_action"].insert(0, Watching().local_action)
    async with broker:
        await broker.call("it.act")
        await broker.call("it.act")
    assert seen == [False, True]


async def test_nothing_and_errors_are_not_kept(namespace: str) -> None:
    broker, counting = node(namespace, True, Counting(None))
    failing = Counting()

    async def fail(ctx: Context) -> None:
        await failing(ctx)
        raise ValueError("no")

    broker.create_service({"name": "bad", "actions": {"act": {"cache": True, "handler": fail}}})
    async with broker:
        for _ in range(2):
            assert await broker.call("it.act") is None
            with pytest.raises(Exception, match="no"):
                await broker.call("bad.act")
    assert (counting.runs, failing.runs) == (2, 2)


async def test_a_function_may_decide_whether_an_answer_is_kept(namespace: str) -> None:
    broker, counting = node(namespace, True, enabled=lambda ctx: ctx.params.get("keep", False))
    async with broker:
        for keep in (True, True, False, False):
            await broker.call("it.act", {"keep": keep})
    assert counting.runs == 3


async def test_of_many_callers_at_once_one_has_the_answer_made(namespace: str, cacher: Any) -> None:
    counting = Counting()
    counting.go = asyncio.Event()
    broker, _ = node(namespace, cacher, counting, lock=True, keys=["id"])
    async with broker:
        calls = [asyncio.ensure_future(broker.call("it.act", {"id": 1})) for _ in range(5)]
        while not counting.runs:
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)
        counting.go.set()
        assert await asyncio.gather(*calls) == [{"runs": 1}] * 5
    assert counting.runs == 1


async def test_an_answer_that_is_soon_over_is_given_while_it_is_made_anew(namespace: str, cacher: Any) -> None:
    broker, counting = node(namespace, cacher, ttl=10, lock={"enabled": True, "staleTime": 60})
    async with broker:
        assert await broker.call("it.act") == {"runs": 1}
        assert await broker.call("it.act") == {"runs": 1}
        for _ in range(500):
            if counting.runs == 2:
                break
            await asyncio.sleep(0.01)
        assert counting.runs == 2


async def test_the_last_used_are_kept_where_there_is_room_for_so_many(namespace: str) -> None:
    broker, counting = node(namespace, {"type": "MemoryLRU", "options": {"max": 2}}, keys=["id"])
    async with broker:
        for number in (1, 2, 1, 3, 1, 2):
            await broker.call("it.act", {"id": number})
        keys = await broker.cacher.get_cache_keys()
    assert counting.runs == 4
    assert [one["key"] for one in keys] == ["it.act:1", "it.act:2"]


async def test_copies_keep_callers_from_changing_what_is_kept(namespace: str) -> None:
    for clone, expected in ((False, {"n": 2}), (True, {"n": 1})):
        broker, _ = node(f"{namespace}-{clone}", MemoryCacher(clone=clone), Counting({"n": 1}))
        async with broker:
            (await broker.call("it.act"))["n"] = 1
            (await broker.call("it.act"))["n"] = 2
            assert await broker.call("it.act") == expected


async def test_what_is_over_is_forgotten_by_itself(namespace: str) -> None:
    cacher = MemoryCacher(ttl=0.01)
    broker, _ = node(namespace, cacher)
    async with broker:
        await broker.call("it.act")
        await asyncio.sleep(0.02)
        cacher.expire()
        assert await cacher.get_cache_keys() == []


async def test_without_its_redis_actions_run_as_if_nothing_was_kept(namespace: str) -> None:
    with Redis() as own:
        broker, _ = node(namespace, f"redis://{own.host}:{own.port}")
        failed: list[Any] = []
        broker.create_service({"name": "listener", "events": {"$cacher.error": lambda ctx: failed.append(ctx.params)}})
        async with broker:
            assert await broker.call("it.act") == {"runs": 1}
            await asyncio.to_thread(own.kill)
            assert await broker.call("it.act") == {"runs": 2}
            await asyncio.to_thread(own.start)
            for number in (3, 3):
                assert await broker.call("it.act") == {"runs": number}
    assert failed[0]["module"] == "cacher"


@pytest.mark.parametrize("given", ["none", 7, {"type": "Disk"}])
def test_what_is_no_cacher_is_refused(given: Any) -> None:
    with pytest.raises(BrokerOptionsError, match="memory-lru"):
        Broker("one", transporter="memory", cacher=given)


def test_cachers_are_named_in_several_ways() -> None:
    kinds = {
        "memory": MemoryCacher,
        "MemoryLRU": MemoryLRUCacher,
        "redis": RedisCacher,
        "redis://h:1/2": RedisCacher,
    }
    for name, kind in kinds.items():
        assert type(Broker("one", transporter="memory", cacher=name).cacher) is kind


# ---- Moleculer's keys --------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=PROTOCOLS)
def original(request: pytest.FixtureRequest, redis: Redis) -> Iterator[JsNode]:
    url = f"redis://{redis.host}:{redis.port}"
    with JsNode(request.param, url, "oracle", services=[], namespace=f"keys-{request.param}") as js:
        yield js


CASES: list[tuple[Any, Any, Any, Any]] = [
    ({"b": 1, "a": ["x", None, True], "c": {"d": 1.5}}, {}, None, {}),
    ({}, {}, None, {}),
    ({"id": 5, "at": {"x": "text"}}, {"user": "bob"}, ["id", "at.x", "#user"], {}),
    ({}, {}, ["id", "at.x", "#user"], {}),
    ({"id": {"a": 1}}, {}, ["id"], {}),
    ({"id": [1, "2"]}, {}, ["id"], {}),
    ({"id": "x"}, {"a": {"b": None}}, ["id", "#a.b", "#a"], {}),
    ({"id": "x" * 100}, {}, None, {"maxParamsLength": 60}),
    ({"id": "x" * 100}, {}, ["id"], {"maxParamsLength": 44}),
    ({"a.b": 1, "a": {"b": 2}}, {}, ["a.b"], {}),
    ({"n": 1e21, "m": -0.5, "t": True, "f": False}, {}, None, {}),
]


def keys_of(js: JsNode, options: Any) -> Keys:
    return Keys(js.protocol == "5", options.get("maxParamsLength", 0))


@pytest.mark.parametrize("case", CASES)
def test_keys_are_those_of_moleculer(original: JsNode, case: tuple[Any, Any, Any, Any]) -> None:
    params, meta, names, options = case
    extra = {"keys": names} if names is not None else {}
    theirs = original.ask("cacheKey", action="a.b", params=params, meta=meta, headers={}, options=options, **extra)
    assert keys_of(original, options).key("a.b", params, meta, names, {}) == theirs


VALUES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text("ab:|é", max_size=4)
PARAMS = st.dictionaries(
    st.sampled_from(["id", "a", "b"]),
    VALUES | st.lists(VALUES, max_size=2) | st.dictionaries(st.just("x"), VALUES),
    max_size=3,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(PARAMS, st.none() | st.lists(st.sampled_from(["id", "a", "b.x", "#m"]), min_size=1, max_size=3))
def test_keys_of_any_parameters_are_those_of_moleculer(original: JsNode, params: Any, names: Any) -> None:
    extra = {"keys": names} if names is not None else {}
    theirs = original.ask("cacheKey", action="a", params=params, meta={"m": 1}, headers={}, **extra)
    assert keys_of(original, {}).key("a", params, {"m": 1}, names, {}) == theirs


async def test_nodes_of_both_languages_share_what_is_kept(at_redis: Meeting) -> None:
    protocol: Protocol = "4"
    place = {"host": at_redis.server.host, "port": at_redis.server.port}
    js = await asyncio.to_thread(
        lambda: at_redis.js(
            protocol, "theirs", services=["cached"], cacher={"type": "Redis", "options": {"redis": place}}
        )
    )
    counting = Counting()
    broker = Broker(
        "ours",
        transporter=at_redis.url,
        namespace=at_redis.namespace,
        cacher=f"redis://{place['host']}:{place['port']}",
    )
    cached = {"name": "cached", "actions": {"whole": {"cache": True, "handler": counting}}}
    broker.create_service(cached)
    async with broker:
        theirs = await asyncio.to_thread(lambda: js.call("cached.whole", {"a": 1}, nodeID="theirs"))
        assert await broker.call("cached.whole", {"a": 1}, node_id="ours") == theirs
        ours = await broker.call("cached.whole", {"a": 2}, node_id="ours")
        assert await asyncio.to_thread(lambda: js.call("cached.whole", {"a": 2}, nodeID="theirs")) == ours
    assert counting.runs == 1
