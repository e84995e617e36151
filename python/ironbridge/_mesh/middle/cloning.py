"""Parameters of their own: what an action does to them, its caller on the same node does not see."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from typing import Any

from ..schema import ActionSchema

Handler = Callable[[Any], Awaitable[Any]]


class ParamsCloning:
    """Gives each action of this node a deep copy of its parameters: the broker's `context_params_cloning`."""

    def local_action(self, next: Handler, action: ActionSchema) -> Handler:
        """The action, with parameters of its own."""

        async def cloned(ctx: Any) -> Any:
            ctx.params = copy.deepcopy(ctx.params)
            return await next(ctx)

        return cloned
