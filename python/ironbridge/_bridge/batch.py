"""Batches: many calls in one round trip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from .. import _engine

N = TypeVar("N", bound="_engine.Client | _engine.AsyncClient")


class BatchCall:
    """One call of a batch; its result is there once the batch has been sent."""

    __slots__ = ("_outcome", "_sent", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._outcome: Any = None
        self._sent = False

    def result(self) -> Any:
        """What the endpoint returned.

        Raises:
            RuntimeError: the batch has not been sent.
            IronbridgeError: this call failed; the others are not affected.
        """
        if not self._sent:
            raise RuntimeError(f"call of {self.name!r}: its batch has not been sent; leave its `with` block first")
        if isinstance(self._outcome, _Failed):
            raise self._outcome.error
        return self._outcome

    def exception(self) -> BaseException | None:
        """The error this call ended with, or None."""
        return self._outcome.error if isinstance(self._outcome, _Failed) else None


class _Failed:
    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Collected(Generic[N]):
    """Calls that wait to be sent together; each endpoint is a method that adds one."""

    def __init__(self, native: N, timeout: float | None) -> None:
        self._native = native
        self._timeout = timeout
        self._calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self._pending: list[BatchCall] = []

    def __getattr__(self, name: str) -> Callable[..., BatchCall]:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self._native.endpoint(name)  # a name that is not there is told here, not by the batch

        def add(*args: Any, **kwargs: Any) -> BatchCall:
            return self.call(name, *args, **kwargs)

        return add

    def __len__(self) -> int:
        return len(self._calls)

    def call(self, name: str, /, *args: Any, **kwargs: Any) -> BatchCall:
        """Adds a call of the endpoint of that name."""
        pending = BatchCall(name)
        self._calls.append((name, args, kwargs))
        self._pending.append(pending)
        return pending

    def _take(self) -> tuple[list[tuple[str, tuple[Any, ...], dict[str, Any]]], list[BatchCall]]:
        calls, pending, self._calls, self._pending = self._calls, self._pending, [], []
        return calls, pending


def _settle(pending: list[BatchCall], outcomes: list[Any]) -> None:
    for call, outcome in zip(pending, outcomes, strict=True):
        # No value that crosses the bridge is an exception: one in a result's place is that call's failure.
        call._outcome = _Failed(outcome) if isinstance(outcome, BaseException) else outcome
        call._sent = True


class Batch(_Collected["_engine.Client"]):
    """A batch of a :class:`ServiceClient`; leaving its `with` block sends it."""

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.send()

    def send(self) -> list[BatchCall]:
        """Sends what was added and waits for all of it. Failures stay with their calls."""
        calls, pending = self._take()
        if calls:
            _settle(pending, self._native.batch(calls, self._timeout))
        return pending


class AsyncBatch(_Collected["_engine.AsyncClient"]):
    """A batch of an :class:`AsyncServiceClient`; leaving its `async with` block sends it."""

    async def __aenter__(self) -> AsyncBatch:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self.send()

    async def send(self) -> list[BatchCall]:
        """Sends what was added and waits for all of it. Failures stay with their calls."""
        calls, pending = self._take()
        if calls:
            _settle(pending, await self._native.batch(calls, self._timeout))
        return pending
