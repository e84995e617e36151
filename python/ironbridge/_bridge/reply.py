"""What an asynchronous call returns: a future of the running loop that is also good where a coroutine is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Reply(asyncio.Future[Any]):
    """The reply of one call. The call leaves at once, awaited or not.

    Cancelling it (or the task that awaits it) cancels the call in the service. `gather` and `wait_for`
    take it as the future that it is; `create_task` and `TaskGroup.create_task` as a coroutine.
    """

    # The native connection that carries the call: each has a class of its own, so that a call sets nothing.
    _link: Any = None
    _steps: Any = None

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancels the call: its coroutine in the service is cancelled, its reply dropped."""
        if not super().cancel(msg):
            return False
        self._link.forget(self)
        return True

    def send(self, value: None) -> Any:
        """One step of a coroutine that awaits this reply."""
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps.send(value)

    def throw(self, *failure: Any) -> Any:
        """Ends such a coroutine with an exception, as `coroutine.throw` does."""
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps.throw(*failure)

    def close(self) -> None:
        """Gives such a coroutine up."""
        if not self.done():
            self.cancel()


Coroutine.register(Reply)
