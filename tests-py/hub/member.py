"""Native members at a hub of the test's own, as the face uses them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import zmq
from ironbridge import _engine

from hub.face import DEADLINE, until

Hook = Callable[..., Any]


class Ground:
    """Where a hub is, or will be, and the members that look for it."""

    def __init__(self, folder: Path) -> None:
        self.sender, self.receiver = f"ipc://{folder}/s", f"ipc://{folder}/r"
        self._hub: _engine.HubServer | None = None
        self._members: list[_engine.HubMember] = []

    def start_hub(self) -> None:
        """From now on there is one."""
        self._hub = _engine.HubServer(self.sender, self.receiver)
        self._hub.start()

    @property
    def hub(self) -> _engine.HubServer:
        """The one that runs."""
        assert self._hub is not None
        return self._hub

    def stop_hub(self) -> None:
        """From now on there is none."""
        if self._hub is not None:
            self._hub.stop(0.0)
            self._hub = None

    def make(
        self,
        name: str,
        actions: dict[str, Hook] | None = None,
        dumps: Hook | None = None,
        loads: Hook | None = None,
        **more: Any,
    ) -> _engine.HubMember:
        """A member; what is no hook of `more` is an option."""
        hooks = {key: value for key, value in more.items() if callable(value)}
        options = {key: value for key, value in more.items() if not callable(value)}
        member = _engine.HubMember(
            name=name,
            sender=self.sender,
            receiver=self.receiver,
            actions=actions or {},
            hooks=hooks,
            dumps=dumps,
            loads=loads,
            host="never",
            options=options,
        )
        self._members.append(member)
        return member

    async def join(self, name: str, actions: dict[str, Hook] | None = None, **more: Any) -> _engine.HubMember:
        """A member that is at the hub."""
        member = self.make(name, actions, **more)
        await asyncio.wait_for(member.open(asyncio.get_running_loop()), DEADLINE)
        return member

    @contextmanager
    def stranger(self) -> Iterator[zmq.Socket[bytes]]:
        """Whoever can push to the hub."""
        with zmq.Context() as context, context.socket(zmq.PUSH) as push:
            push.setsockopt(zmq.SNDHWM, 0)
            push.setsockopt(zmq.LINGER, int(DEADLINE * 1000))
            push.connect(self.receiver)
            yield push

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        for member in self._members:
            member.close()
        self.stop_hub()


async def meet(one: _engine.HubMember, *others: str) -> None:
    """Waits until a member knows others, by their names."""
    await until(lambda: set(others) <= {seen["name"] for seen in one.services()})


async def answer(future: Any) -> Any:
    """What a future becomes, within the tests' deadline."""
    return await asyncio.wait_for(future, DEADLINE)
