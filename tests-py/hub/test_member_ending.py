"""How members end: collected, drained, closed, forked."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import free_port
from ironbridge import _engine
from ironbridge.errors import ConfigurationError

from hub.face import until
from hub.member import Ground, answer


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with Ground(tmp_path) as ground:
        ground.start_hub()
        yield ground


class Owner:
    """A service's object: its member holds its methods, and it holds the member."""

    def __init__(self, ground: Ground) -> None:
        self.member = _engine.HubMember(
            name="Db",
            sender=ground.sender,
            receiver=ground.receiver,
            actions={"save": self.save},
            hooks={"broadcast": self.save},
            dumps=None,
            loads=None,
            host="never",
            options={},
        )

    async def save(self, service: str, data: Any) -> None: ...


async def test_a_member_that_was_never_opened_is_collected_with_its_owner(ground: Ground) -> None:
    owner = weakref.ref(Owner(ground))
    gc.collect()
    assert owner() is None


async def test_a_closed_member_is_collected_with_its_owner(ground: Ground) -> None:
    owner = Owner(ground)
    await answer(owner.member.open(asyncio.get_running_loop()))
    owner.member.close()
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


async def test_a_member_that_has_ended_drains_at_once(ground: Ground) -> None:
    member = await ground.join("Db")
    member.close()
    ground.stop_hub()
    assert await asyncio.wait_for(member.drain(60.0), 5.0) == {"unsent": 0, "cancelled": 0}


async def test_what_nobody_took_is_told_at_the_end(ground: Ground) -> None:
    ground.stop_hub()
    member = ground.make("Db", outbox_messages=1)
    opened = member.open(asyncio.get_running_loop())
    member.broadcast(1)
    held = member.broadcast(2)
    assert held is not None
    left = await answer(member.drain(0.05))
    assert left == {"unsent": 2, "cancelled": 0}
    assert isinstance(held.exception(), Exception)
    assert opened.cancelled()


async def test_new_requests_and_broadcasts_are_not_run_by_a_service_that_leaves(ground: Ground) -> None:
    heard: list[Any] = []

    async def slow(service: str, data: Any) -> None:
        heard.append(data)
        await release.wait()

    release = asyncio.Event()
    member = await ground.join("Db", {"save": slow}, broadcast=slow)
    with ground.stranger() as push:
        push.send(b'save:{"s":"A","d":"first"}')
        await until(lambda: heard == ["first"])
        drained = member.drain(30.0)
        push.send(b'save:{"s":"A","d":"second"}')
        push.send(b'<b>:{"s":"A","d":"third"}')
        await until(lambda: member.stats()["refused"] == 2)
        release.set()
        assert await answer(drained) == {"unsent": 0, "cancelled": 0}
    assert heard == ["first"]


async def test_closing_does_not_wait_for_a_host_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        at = full.getsockname()
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(at)
        endpoint = f"tcp://127.0.0.1:{at[1]}"
        member = _engine.HubMember(
            name="Db",
            sender=f"tcp://127.0.0.1:{free_port()}",
            receiver=endpoint,
            actions={},
            hooks={},
            dumps=None,
            loads=None,
            host="never",
            options={},
        )
        member.open(asyncio.get_running_loop())
        await asyncio.sleep(0.1)
        begun = time.monotonic()
        member.close()
        assert time.monotonic() - begun < 1.0
        for caller in callers:
            caller.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_forked_child_that_closes_its_copy_leaves_the_parent_at_its_hub(ground: Ground) -> None:
    heard: list[Any] = []
    member = await ground.join("Db", broadcast=lambda service, data: heard.append(data), beat=1000)
    child = os.fork()
    if child == 0:
        wrong = 1
        try:
            member.stats()
        except ConfigurationError:
            member.close()
            wrong = 0
        finally:
            os._exit(wrong)
    assert os.waitpid(child, 0)[1] == 0  # noqa: ASYNC222
    with ground.stranger() as push:
        push.send(b'<b>:{"s":"A","d":1}')
        await until(lambda: heard == [1])
