"""What a member hears: bursts, nonsense, and more than it can run at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from harness import wait_until
from ironbridge.errors import RemoteExecutionError

from hub.face import DEADLINE, until
from hub.member import Ground, answer, meet


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with Ground(tmp_path) as ground:
        ground.start_hub()
        yield ground


async def test_a_burst_is_heard_to_its_end_though_nothing_follows(ground: Ground) -> None:
    heard: list[int] = []
    # With no beat of its own, nothing else would wake it.
    await ground.join("Db", broadcast=lambda service, data: heard.append(data), beat=1000)
    with ground.stranger() as push:
        for round_ in range(5):
            for number in range(6000):
                push.send(b'<b>:{"s":"Sensor","d":%d,"x":"%s"}' % (number, b"." * 100))
            await until(lambda: len(heard) == 6000)
            assert heard == list(range(6000)), f"round {round_}"
            heard.clear()


async def test_other_callbacks_of_the_loop_run_during_a_burst(ground: Ground) -> None:
    turns = [0]
    heard = 0

    def slow(service: str, data: Any) -> None:
        nonlocal heard
        heard += 1
        sum(range(50_000))

    await ground.join("Db", broadcast=slow)
    with ground.stranger() as push:
        for _ in range(500):
            push.send(b'<b>:{"s":"Sensor","d":1}')
        # All of it is there before the loop looks.
        wait_until(lambda: ground.hub.stats()["messages_out"] >= 500, DEADLINE, "500 messages to be forwarded")
        while heard < 500:
            await asyncio.sleep(0)
            turns.append(heard)
    assert max(after - before for before, after in pairwise(turns)) < 200


NONSENSE = [
    b"<b>:",
    b"<b>:{",
    b"<b>:[]",
    b'<b>:{"d":1}',
    b'<b>:{"s":1,"d":1}',
    b'<b>:{"s":"A","d":}',
    b'<b>:{"s":"A","d":{"x":[1,}}',
    b'<b>:{"s":"A","d":"\xff"}',
    b'<b>:{"s":"A","d":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    b'<r>:{"s":"A","a":[1]}',
    b'<r>:{"s":"A","a":{}}',
    b'<r>:{"s":"' + b"A" * 300 + b'","a":[]}',
    b"<hb>:null",
    b'<p>:{"k":"gone"}',
    b'<ares>:{"s":"A","d":1,"ares":3}',
    b'save:{"s":"A","d":1,"areq":"x"}',
    b'save:{"s":"A","d":nope}',
    b"Db:\x00",
]


async def test_nonsense_is_counted_and_the_next_message_is_heard(ground: Ground) -> None:
    heard: list[Any] = []

    async def hook(service: str, data: Any) -> None:
        heard.append(data)

    failures: list[Any] = []
    hooks = {"broadcast": hook, "response": hook, "error": lambda *failure: failures.append(failure)}
    member = await ground.join("Db", {"save": hook}, **hooks)
    with ground.stranger() as push:
        for message in NONSENSE:
            push.send(message)
        push.send(b'<b>:{"s":"A","d":"sense"}')
        await until(lambda: "sense" in heard)
    assert heard == ["sense"]
    assert member.stats()["malformed"] == len(NONSENSE)
    # Only the action's: its caller may wait.
    assert [where for _, where in failures] == ['action "save"']


async def test_handlers_at_the_bound_still_get_the_answers_that_they_wait_for(ground: Ground) -> None:
    async def double(service: str, data: int) -> int:
        return 2 * data

    async def through(service: str, data: int) -> int:
        begun.set()
        await release.wait()
        return int(await gateway.call("double", data, 5.0))

    begun, release = asyncio.Event(), asyncio.Event()
    await ground.join("Db", {"double": double})
    gateway = await ground.join("Gateway", {"through": through}, max_running=1)
    caller = await ground.join("Caller")
    await meet(gateway, "Db")
    await meet(caller, "Gateway")
    first = caller.call("through", 1, 5.0)
    await answer(begun.wait())
    # It waits for the first to end.
    second = caller.call("through", 2, 5.0)
    release.set()
    assert await answer(asyncio.gather(first, second)) == [2, 4]


async def test_over_all_bounds_a_request_is_refused_while_answers_are_waited_for(ground: Ground) -> None:
    async def never(service: str, data: Any) -> Any:
        asked.set()
        await release.wait()
        return data

    async def through(service: str, data: Any) -> Any:
        return await gateway.call("never", data, 5.0)

    asked, release = asyncio.Event(), asyncio.Event()
    await ground.join("Db", {"never": never})
    gateway = await ground.join("Gateway", {"through": through}, max_running=1)
    caller = await ground.join("Caller")
    await meet(gateway, "Db")
    await meet(caller, "Gateway")
    first = caller.call("through", 1, 5.0)
    await answer(asked.wait())
    second = caller.call("through", 2, 5.0)
    with pytest.raises(RemoteExecutionError, match="1 handlers run already") as refused:
        await answer(caller.call("through", 3, 5.0))
    assert refused.value.type_name == "ironbridge.errors.Overloaded"
    assert gateway.stats()["refused"] == 1
    release.set()
    assert await answer(asyncio.gather(first, second)) == [1, 2]
