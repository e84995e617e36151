"""What a call gives on an event loop."""

from __future__ import annotations

import asyncio
from typing import Any

from .. import _engine


class CallFuture(asyncio.Future[Any]):
    """A call's answer. Cancelled, the call is given up: it is not sent any more, and its answer is dropped."""

    number = 0

    def __init__(self, connector: _engine.FabricConnector, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._connector = connector

    def cancel(self, msg: Any = None) -> bool:
        """Gives the call up."""
        cancelled = super().cancel(msg)
        if cancelled and self.number:
            self._connector.cancel_call(self.number)
        return cancelled
