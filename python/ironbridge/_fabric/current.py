"""The call that the running method serves."""

from __future__ import annotations

from .. import _engine


def current_call() -> _engine.FabricCall | None:
    """The call that the running method serves: whether it is `redelivered`, how much time `remaining` it has, whether
    its caller waits no longer (`cancelled`), its `method`, `caller` and `correlation_id`. `None` outside any."""
    return _engine._fabric_call()
