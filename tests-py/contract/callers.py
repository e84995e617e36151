"""Callers of one shape over the two clients, so that a behaviour is written once."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import ironbridge.bridge as meta

PATIENCE = 15.0
"""Seconds after which a call that has not ended fails the test."""


class Caller(ABC):
    """A connected client."""

    def call(self, name: str, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Calls, and waits for what comes back."""
        return self.begin(name, *args, timeout=timeout, **kwargs).result(PATIENCE)

    @abstractmethod
    def begin(self, name: str, *args: Any, timeout: float | None = None, **kwargs: Any) -> Future[Any]:
        """Calls, and does not wait."""

    @abstractmethod
    def give_up(self, name: str, *args: Any, when: Callable[[], object]) -> None:
        """Calls, and gives the call up after `when()` has returned: asyncio cancels, others let a deadline pass."""

    @abstractmethod
    def batch(self, calls: list[tuple[str, Any]]) -> list[Future[Any]]:
        """Many calls of one argument in one round trip."""

    @abstractmethod
    def stats(self) -> dict[str, Any]:
        """What the service counts."""

    @abstractmethod
    def close(self) -> None:
        """Lets go of the service."""


def _outcome(taken: Any) -> Future[Any]:
    done: Future[Any] = Future()
    try:
        done.set_result(taken.result())
    except Exception as error:
        done.set_exception(error)
    return done


class BlockingCaller(Caller):
    """`connect`, used from threads."""

    def __init__(self, target: str, options: dict[str, Any]) -> None:
        self.client = meta.connect(target, call_timeout=PATIENCE, **options)
        self.threads = ThreadPoolExecutor(128)

    def begin(self, name: str, *args: Any, timeout: float | None = None, **kwargs: Any) -> Future[Any]:
        client = self.client if timeout is None else self.client.with_options(timeout=timeout)
        return self.threads.submit(client.call, name, *args, **kwargs)

    def give_up(self, name: str, *args: Any, when: Callable[[], object]) -> None:
        under_way = self.begin(name, *args, timeout=1.0)
        when()
        error = under_way.exception(PATIENCE)
        assert isinstance(error, meta.DeadlineExceeded), error

    def batch(self, calls: list[tuple[str, Any]]) -> list[Future[Any]]:
        with self.client.batch() as batch:
            taken = [getattr(batch, name)(argument) for name, argument in calls]
        return [_outcome(one) for one in taken]

    def stats(self) -> dict[str, Any]:
        return self.client.stats()

    def close(self) -> None:
        self.client.close()
        self.threads.shutdown(wait=True)


class AsyncCaller(Caller):
    """`connect_async` on a loop in a thread of its own."""

    def __init__(self, target: str, options: dict[str, Any]) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="loop of a caller")
        self.thread.start()

        async def connect() -> Any:
            return await meta.connect_async(target, call_timeout=PATIENCE, **options)

        try:
            self.client: meta.AsyncServiceClient = self._run(connect())
        except BaseException:
            self._end()
            raise

    def begin(self, name: str, *args: Any, timeout: float | None = None, **kwargs: Any) -> Future[Any]:
        async def call() -> Any:
            client = self.client if timeout is None else self.client.with_options(timeout=timeout)
            return await client.call(name, *args, **kwargs)

        return asyncio.run_coroutine_threadsafe(call(), self.loop)

    def give_up(self, name: str, *args: Any, when: Callable[[], object]) -> None:
        under_way = self.begin(name, *args)
        when()
        assert under_way.cancel()

    def batch(self, calls: list[tuple[str, Any]]) -> list[Future[Any]]:
        async def send() -> list[Any]:
            async with self.client.batch() as batch:
                return [getattr(batch, name)(argument) for name, argument in calls]

        return [_outcome(one) for one in self._run(send())]

    def stats(self) -> dict[str, Any]:
        counted: dict[str, Any] = self._run(self.client.stats())
        return counted

    def close(self) -> None:
        self._run(self.client.close())
        self._end()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    def _end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
