"""Streams of calls and answers: what comes is iterated, what goes is an asynchronous iterator."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

from ..errors import Overloaded
from .payloads import unbuffered

# The most bytes of one part: Moleculer's `transit.maxChunkSize`.
CHUNK = 256 * 1024
# Between two looks whether there is room again, in seconds.
_ROOM = 0.01
# Between an answer's beginning and its breaking off, in seconds: in Moleculer.js an error that comes in one piece with
# the beginning finds nobody who listens yet, and is lost with the whole call.
_APART = 0.05


class MeshStream:
    """What another node sends part by part: `async for part in stream`. Parts are bytes, or values where the sender's
    stream is of objects.

    Raises, while it is iterated, what ended it before its end.
    """

    def __init__(self) -> None:
        self._parts: deque[Any] = deque()
        self._ended = False
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    def _push(self, value: Any, end: bool, error: BaseException | None) -> None:
        if value is not None:
            self._parts.append(unbuffered(value))
        self._ended |= end
        self._error = self._error or error
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> MeshStream:
        return self

    async def __anext__(self) -> Any:
        while not self._parts:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if self._ended:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._parts.popleft()

    async def read(self) -> bytes:
        """All of it, which must be bytes or texts."""
        whole = bytearray()
        async for part in self:
            whole += part.encode() if isinstance(part, str) else part
        return bytes(whole)


def is_bytes(part: Any) -> bool:
    """Whether a part is one of JavaScript's plain streams: bytes or text."""
    return isinstance(part, bytes | bytearray | memoryview | str)


class Peeked:
    """A stream whose first part is known, so that its kind can be told before it begins."""

    def __init__(self, source: AsyncIterator[Any]) -> None:
        self._source = source.__aiter__()
        self._first: list[Any] = []
        self.objects = False
        self._error: BaseException | None = None

    async def peek(self) -> Peeked:
        """Reads the first part."""
        try:
            first = await self._source.__anext__()
        except StopAsyncIteration:
            return self
        except Exception as error:  # raised where the part would have come
            self._error = error
            return self
        self._first.append(first)
        self.objects = not is_bytes(first)
        return self

    def __aiter__(self) -> Peeked:
        return self

    async def __anext__(self) -> Any:
        if self._first:
            return self._first.pop()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return await self._source.__anext__()


def flags(objects: bool) -> dict[str, Any]:
    """What tells the other side of the kind."""
    return {"$streamObjectMode": True} if objects else {}


def send_result(source: AsyncIterator[Any], sender: Any, loop: asyncio.AbstractEventLoop) -> asyncio.Task[None]:
    """Sends an answer, part by part."""

    async def send() -> None:
        peeked = await Peeked(source).peek()
        await _part(sender, 0, True, None, flags=flags(peeked.objects))
        await _send(peeked, sender, peeked.objects, breaks_off_after=loop.time() + _APART)

    return _kept(loop.create_task(send()))


def send_params(source: AsyncIterator[Any], sender: Any, loop: asyncio.AbstractEventLoop) -> asyncio.Task[None]:
    """Sends the parts of a call that has been sent."""
    return _kept(loop.create_task(_send(source, sender, isinstance(source, Peeked) and source.objects)))


_tasks: set[asyncio.Task[None]] = set()


def _kept(task: asyncio.Task[None]) -> asyncio.Task[None]:
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


async def _send(source: AsyncIterator[Any], sender: Any, objects: bool = False, breaks_off_after: float = 0.0) -> None:
    seq = 1
    try:
        async for whole in source:
            for part in [whole] if objects else _cut(whole):
                await _part(sender, seq, True, part)
                seq += 1
    except Exception as error:
        await asyncio.sleep(max(0.0, breaks_off_after - asyncio.get_running_loop().time()))
        await _part(sender, seq, False, None, error)
    else:
        await _part(sender, seq, False, None)


def _cut(part: Any) -> list[Any]:
    if not is_bytes(part) or len(part) <= CHUNK:
        return [part.encode() if isinstance(part, str) else part]
    data = part.encode() if isinstance(part, str) else bytes(part)
    return [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]


async def _part(
    sender: Any,
    seq: int,
    more: bool,
    value: Any,
    error: BaseException | None = None,
    flags: Mapping[str, Any] | None = None,
) -> None:
    """Sends one, once there is room for it; the loop runs meanwhile."""
    while True:
        try:
            sender.part(seq, more, value, error, dict(flags) if flags else None)
        except Overloaded:
            await asyncio.sleep(_ROOM)
        else:
            break
    await asyncio.sleep(0)
