"""Validation around actions and listeners: nothing wrong reaches a handler."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from ..errors import ServiceSchemaError, ValidationError
from ..schema import ActionSchema, EventSchema, snake
from .checking import Errors
from .models import ModelCheck, annotated, is_model
from .validator import Validator

Handler = Callable[[Any], Awaitable[Any]]


class Validation:
    """Checks the parameters of actions and the payloads of events that have rules.

    Args:
        broker: whose they are.
        options: `True`, a `Validator`, or a dict of a `Validator`'s arguments.
    """

    def __init__(self, broker: Any, options: Any = True) -> None:
        self._broker = broker
        self.validator = options if isinstance(options, Validator) else Validator(**_given(options))

    def local_action(self, next: Handler, action: ActionSchema) -> Handler:
        """The action, whose parameters are checked; itself if it has no rules."""
        return self._checked(next, action, action.params)

    def local_event(self, next: Handler, event: EventSchema) -> Handler:
        """The listener, whose payload is checked; itself if it has no rules."""
        return self._checked(next, event, event.params)

    def _checked(self, next: Handler, schema: ActionSchema | EventSchema, rules: Any) -> Handler:
        model = annotated(schema.handler)
        if rules is None and model is not None:
            rules = model
        if rules is None or rules is False:
            return next
        if is_model(rules):
            return self._by_model(next, schema, rules, gives_model=model is not None)
        if not isinstance(rules, dict | list | tuple):
            raise ServiceSchemaError(f"{schema.name}: params is a dict of rules, or a model, not {rules!r}")
        if not rules:
            return next
        check = self.validator.compile(rules)

        async def checked(ctx: Any) -> Any:
            wrong = check(ctx.params, ctx)
            if inspect.isawaitable(wrong):
                wrong = await wrong
            if wrong is not None:
                raise self._error(ctx, schema, wrong)
            return await next(ctx)

        return checked

    def _by_model(
        self, next: Handler, schema: ActionSchema | EventSchema, model: type[Any], gives_model: bool
    ) -> Handler:
        check = ModelCheck(model)

        async def checked(ctx: Any) -> Any:
            found, wrong = check.read(ctx.params)
            if wrong is not None:
                raise self._error(ctx, schema, wrong)
            if gives_model:
                ctx.params = found
            return await next(ctx)

        return checked

    @staticmethod
    def _error(ctx: Any, schema: ActionSchema | EventSchema, wrong: Errors) -> ValidationError:
        # The node is the caller's, as Moleculer has it.
        kind = "action" if isinstance(schema, ActionSchema) else "event"
        told = [{**one, "nodeID": ctx.node_id, kind: schema.name} for one in wrong]
        return ValidationError("Parameters validation error!", None, told)


def _given(options: Any) -> dict[str, Any]:
    return {snake(name): value for name, value in options.items()} if isinstance(options, dict) else {}
