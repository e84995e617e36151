"""`uid_generator`: ids of the user's own, wherever they can be seen."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from ironbridge.mesh import Broker, BrokerOptionsError, Context, MoleculerRetryableError

from mesh.meeting import Meeting
from mesh.peers import PROTOCOLS, Protocol


def counted() -> Callable[[Broker], str]:
    """Ids with a number and their node, as Moleculer's generators take the broker."""
    numbers = itertools.count(1)
    return lambda broker: f"{broker.node_id}:{next(numbers)}"


def number(uid: str) -> int:
    node, _, counted = uid.partition(":")
    assert node == "ours"
    return int(counted)


async def told(ctx: Context) -> dict[str, Any]:
    return {"id": ctx.id, "requestID": ctx.request_id, "parentID": ctx.parent_id, "level": ctx.level}


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_calls_and_events_have_the_generators_ids_at_other_nodes_too(
    protocol: Protocol, at_redis: Meeting
) -> None:
    js = await asyncio.to_thread(at_redis.js, protocol, "theirs", services=["chain", "math", "events"])
    options: dict[str, Any] = {"transporter": at_redis.url, "namespace": at_redis.namespace, "protocol": protocol}
    tap = at_redis.tap()

    async def outer(ctx: Context) -> Any:
        return [await told(ctx), await ctx.call("chain.context"), await ctx.call("ours.inner")]

    broker = Broker("ours", uid_generator=counted(), **options)
    broker.create_service({"name": "ours", "actions": {"outer": outer, "inner": told}})
    async with broker:
        await broker.wait_for_services(["chain", "math"], 10_000)
        await asyncio.to_thread(js.meet, "ours")
        first = await broker.call("chain.context")
        assert (first["requestID"], first["parentID"]) == (first["id"], None)
        here, there, inner = await broker.call("ours.outer")
        root = here["id"]
        assert (here["requestID"], here["parentID"], here["level"]) == (root, None, 1)
        assert [(one["requestID"], one["parentID"], one["level"]) for one in (there, inner)] == [(root, root, 2)] * 2
        made = [first["id"], root, there["id"], inner["id"]]
        assert made == sorted(set(made), key=number) and all(one.startswith("ours:") for one in made)
        # A call of another node keeps what that has given it.
        theirs, _, _ = await asyncio.to_thread(js.call, "ours.outer")
        assert not theirs["id"].startswith("ours:") and theirs["requestID"] == theirs["id"]
        answers = await asyncio.gather(*(broker.call("math.add", {"a": n, "b": 1}) for n in range(50)))
        assert answers == [n + 1 for n in range(50)]
        before = broker.generate_uid()
        await broker.emit("user.created", {"id": 7})
        event = await asyncio.to_thread(tap.wait, "EVENT", "theirs")
        assert number(event.fields["requestID"]) > number(before)
        given = await broker.call("chain.context", request_id="given")
        assert given["requestID"] == "given" and given["id"].startswith("ours:")


async def test_each_attempt_and_each_span_has_an_id_of_its_own(namespace: str) -> None:
    seen: list[tuple[str, str]] = []

    async def fails(ctx: Context) -> None:
        seen.append((ctx.id, ctx.request_id))
        if len(seen) < 3:
            raise MoleculerRetryableError("not yet")
        with ctx.start_span("within") as span:
            seen.append((span.id, span.trace_id))

    policy = {"enabled": True, "retries": 5, "delay": 1}
    options: dict[str, Any] = {"transporter": "memory", "namespace": namespace, "tracing": True}
    async with Broker("one", uid_generator=counted(), retry_policy=policy, **options) as broker:
        broker.create_service({"name": "it", "actions": {"fails": fails}})
        await broker.wait_for_services("it", 5000)
        await broker.call("it.fails")
    ids = [one for one, _ in seen]
    assert len(set(ids)) == 4 and all(one.startswith("one:") for one in ids)
    assert {request for _, request in seen} == {ids[0]}


@pytest.mark.parametrize("generator", [uuid.uuid4, lambda: uuid.uuid4(), lambda broker: uuid.uuid4()])
async def test_a_generator_takes_the_broker_or_nothing_and_gives_what_is_a_text(namespace: str, generator: Any) -> None:
    async with Broker("one", transporter="memory", namespace=namespace, uid_generator=generator) as broker:
        broker.create_service({"name": "it", "actions": {"told": told}})
        await broker.wait_for_services("it", 5000)
        answer = await broker.call("it.told")
        assert answer["id"] == answer["requestID"] == str(uuid.UUID(answer["id"]))
        assert uuid.UUID(broker.make_context().id).version == 4
        assert broker.generate_uid() != broker.generate_uid()


async def test_without_a_generator_ids_are_the_engines(namespace: str) -> None:
    async with Broker("one", transporter="memory", namespace=namespace) as broker:
        uuid.UUID(broker.generate_uid())
        assert not broker.options.uid_generator


async def test_what_gives_no_id_is_refused(namespace: str) -> None:
    with pytest.raises(BrokerOptionsError, match="uid_generator"):
        Broker("one", transporter="memory", uid_generator="abc")
    ids, wrong = counted(), list[Any]()
    generator = lambda broker: wrong[0] if wrong else ids(broker)  # noqa: E731
    async with Broker("one", transporter="memory", namespace=namespace, uid_generator=generator) as broker:
        await broker.call("$node.list")
        for value in ("", None):
            wrong[:] = [value]
            with pytest.raises(BrokerOptionsError, match=f"has given {value!r}"):
                await broker.call("$node.list")
        wrong.clear()
