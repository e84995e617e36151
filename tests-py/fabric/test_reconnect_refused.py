"""A broker that lets a service in no more for a while: the service says why, tries on, and is back."""

from __future__ import annotations

import asyncio

import pytest
from harness import UP, RabbitMQ, Relay, lenient
from ironbridge.errors import DeadlineExceeded
from ironbridge.fabric import IncomingMessage

from fabric.clique import caller, eventually, served, server
from fabric.whole import Whole


async def test_a_user_whose_password_is_wrong_for_a_while(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    change = 'rabbit_auth_backend_internal:change_password(<<"temp">>, <<"{}">>, <<"harness">>)'
    rabbitmq.add_user("temp", "right", vhost_name)
    try:
        async with Whole(rabbitmq.uri("temp", "right", vhost_name)) as whole:
            await whole.works()
            rabbitmq.eval(change.format("other"))
            rabbitmq.close_connections()
            await eventually(lambda: whole.states.count("lost") >= 2)
            with pytest.raises(DeadlineExceeded, match=r"the broker is away.*name and password") as failed:
                await whole.service.with_options(timeout=0.2).mirror(value=1)
            assert failed.value.fate == "not sent" and "right" not in str(failed.value)
            rabbitmq.eval(change.format("right"))
            await whole.works()
    finally:
        rabbitmq.eval('rabbit_auth_backend_internal:delete_user(<<"temp">>, <<"harness">>)')


async def test_a_broker_far_away_is_slow_and_nothing_else(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    with Relay(rabbitmq.address) as relay:
        relay.delay(0.02)
        async with Whole(rabbitmq.uri(vhost=vhost_name, at=relay.address)) as whole:
            await whole.works()
            loop = asyncio.get_running_loop()
            begun = loop.time()
            assert await asyncio.gather(*(whole.service.mirror(value=n) for n in range(100))) == list(range(100))
            # Call and answer go to the broker and back each: four ways, but not for one call after the other.
            assert 0.07 < loop.time() - begun < lenient(2)
            await asyncio.gather(*(whole.server.publish_data(b"1", {"kind": "far"}) for _ in range(300)))
            assert "lost" not in whole.states
            assert relay.accepted == 2


async def test_a_large_message_cut_half_way_is_sent_again_whole(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    got: list[tuple[int, int]] = []

    def callback(message: IncomingMessage) -> None:
        got.append((message.headers["number"], len(message.body)))

    with Relay(rabbitmq.address) as relay:
        through = rabbitmq.uri(vhost=vhost_name, at=relay.address)
        async with (
            caller(rabbitmq.uri(vhost=vhost_name)) as reader,
            server(through, heartbeat=1, options={"backoff_most": 0.2}) as writer,
        ):
            await reader.subscribe_data("large", {"kind": "large"}, callback)
            for number in range(4):
                relay.cut_after(UP, 700_000)
                published = [
                    writer.publish_data(bytes(400_000), {"kind": "large", "number": 3 * number + part})
                    for part in range(3)
                ]
                await asyncio.wait_for(asyncio.gather(*published), 20)
            await eventually(lambda: {number for number, _ in got} == set(range(12)))
            assert {size for _, size in got} == {400_000}
            firsts = list(dict.fromkeys(number for number, _ in got))
            assert firsts == sorted(firsts)
            assert writer.stats()["data_resent"] >= 4


async def test_a_large_call_and_its_answer_cut_half_way(rabbitmq: RabbitMQ, vhost_name: str) -> None:
    with Relay(rabbitmq.address) as relay:
        async with Whole(rabbitmq.uri(vhost=vhost_name, at=relay.address)) as whole:
            await whole.works()
            large = "x" * 1_000_000
            service = whole.service.with_options(idempotent=True, timeout=30)
            for _ in range(4):
                relay.cut_after(UP, 1_500_000)
                assert await service.mirror(value=large) == large
            await asyncio.wait_for(served(whole.caller), 10)
