"""What a member says while it cannot leave, and calls whose time runs out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ironbridge.errors import ConfigurationError, ConnectionLost, DeadlineExceeded, ServiceUnavailable

from hub.face import until
from hub.member import Ground, answer, meet


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with Ground(tmp_path) as ground:
        yield ground


def recorder(heard: list[Any]) -> Any:
    async def record(service: str, data: Any) -> Any:
        heard.append(data)
        return data

    return record


async def test_a_call_that_was_not_sent_in_time_is_never_sent(ground: Ground) -> None:
    heard: list[Any] = []
    caller = ground.make("Caller")
    caller.open(asyncio.get_running_loop())
    with pytest.raises(ServiceUnavailable) as late:
        await answer(caller.call("save", "late", 0.05))
    assert not late.value.may_have_run
    assert caller.request("save", "in time") is None
    ground.start_hub()
    await ground.join("Db", {"save": recorder(heard)})
    await meet(caller, "Db")
    assert await answer(caller.call("save", "last", 5.0)) == "last"
    assert "late" not in heard
    assert caller.stats()["sent"] == 2


async def test_a_cancelled_call_that_waits_for_room_is_never_sent(ground: Ground) -> None:
    heard: list[Any] = []
    caller = ground.make("Caller", outbox_bytes=1)
    caller.open(asyncio.get_running_loop())
    assert caller.broadcast("fills the outbox") is None
    cancelled, kept = caller.call("save", "cancelled", 10.0), caller.call("save", "kept", 10.0)
    cancelled.cancel()
    ground.start_hub()
    await ground.join("Db", {"save": recorder(heard)})
    await until(lambda: caller.stats()["sent"] == 2)
    assert await answer(caller.call("save", "last", 5.0)) == "last"
    assert "cancelled" not in heard
    kept.cancel()


async def test_a_call_that_waits_for_room_ends_at_its_own_deadline(ground: Ground) -> None:
    caller = ground.make("Caller", outbox_bytes=1, send_timeout=0.05)
    caller.open(asyncio.get_running_loop())
    assert caller.broadcast("fills the outbox") is None
    waits = caller.broadcast("waits for room")
    call = caller.call("save", 1, 0.2)
    assert waits is not None
    with pytest.raises(DeadlineExceeded, match="the outbox is full"):
        await answer(waits)
    assert not call.done()
    with pytest.raises(ServiceUnavailable, match="no hub has taken it"):
        await answer(call)
    assert caller.stats()["waiting"] == 1


@pytest.mark.parametrize("name", ["", "<r>", "<b>", "a\nb", "x" * 256])
async def test_nobody_can_speak_with_a_head_that_is_the_hubs_own(ground: Ground, name: str) -> None:
    member = ground.make("Db")
    member.open(asyncio.get_running_loop())
    with pytest.raises(ConfigurationError):
        member.request(name, 1)
    with pytest.raises(ConfigurationError):
        member.respond(name, 1)
    with pytest.raises(ConfigurationError):
        member.call(name, 1, 1.0)
    assert member.stats()["waiting"] == 0


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), float("inf")])
async def test_a_timeout_that_is_no_time_is_refused(ground: Ground, timeout: float) -> None:
    member = ground.make("Db")
    member.open(asyncio.get_running_loop())
    with pytest.raises(ConfigurationError):
        member.call("save", 1, timeout)


async def test_another_thread_is_told_how_to_call(ground: Ground) -> None:
    member = ground.make("Db")
    member.open(asyncio.get_running_loop())
    told: list[BaseException] = []

    def elsewhere() -> None:
        try:
            member.broadcast(1)
        except ConfigurationError as error:
            told.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "call_soon_threadsafe" in str(told[0])


async def test_a_call_to_all_hears_itself_its_twin_and_others(ground: Ground) -> None:
    ground.start_hub()
    members = [await ground.join(name, {"who": recorder([])}) for name in ("Db", "Db", "Cache")]
    asking = members[0]
    await until(lambda: len(asking.services()) == 2)
    answers = await answer(asking.call_all("who", 1, 10.0))
    assert sorted(answers) == [("Cache", 1), ("Db", 1), ("Db", 1)]


async def test_a_call_to_all_does_not_wait_for_one_that_has_left(ground: Ground) -> None:
    async def never(service: str, data: Any) -> None:
        asked.set()
        await asyncio.sleep(100)

    asked = asyncio.Event()
    ground.start_hub()
    await ground.join("Db", {"who": recorder([])})
    leaving = await ground.join("Cache", {"who": never})
    caller = await ground.join("Caller")
    await meet(caller, "Db", "Cache")
    answers = caller.call_all("who", 1, 30.0)
    await answer(asked.wait())
    leaving.close()
    assert await answer(answers) == [("Db", 1)]


async def test_a_call_ends_when_its_hub_does(ground: Ground) -> None:
    async def never(service: str, data: Any) -> None:
        asked.set()
        await asyncio.sleep(100)

    asked = asyncio.Event()
    ground.start_hub()
    await ground.join("Db", {"never": never})
    caller = await ground.join("Caller")
    await meet(caller, "Db")
    call = caller.call("never", 1, 30.0)
    await answer(asked.wait())
    ground.stop_hub()
    with pytest.raises(ConnectionLost) as lost:
        await answer(call)
    assert lost.value.may_have_run
