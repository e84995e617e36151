"""Tracing around actions and events, and what goes with calls to other nodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..channels.schema import ChannelSchema
from ..errors import ServiceSchemaError
from ..schema import ActionSchema, EventSchema, snake
from .exporters import Exporter
from .tags import is_wanted, of_function, picked, plain
from .tracer import Tracer

Handler = Callable[[Any], Awaitable[Any]]
Teller = Callable[[str, Any, dict[str, Any]], Awaitable[Any]]

_OPTIONS = {"enabled", "tags", "span_name", "safety_tags"}


@dataclass(frozen=True, slots=True)
class _Wish:
    """How the calls of one action, or one event, are traced.

    Attributes:
        tags: what is shown of them: `{"params", "meta", "response"}`, each `True` or names; or a function of `(ctx)`
            and, after the call, of `(ctx, response)`.
        name: the span's, or a function of `(ctx)`; the usual unless given.
        safety: whether tags become plain data at once, as they are then.
    """

    tags: Any
    name: Any
    safety: bool

    def shown(self, ctx: Any) -> dict[str, Any]:
        if callable(self.tags):
            return of_function(self.tags, ctx)
        told = {"params": ctx.params, "meta": ctx.meta}
        return {name: picked(self.tags[name], value) for name, value in told.items() if is_wanted(self.tags.get(name))}

    def answered(self, ctx: Any, response: Any) -> dict[str, Any]:
        if callable(self.tags):
            return of_function(self.tags, ctx, response)
        wanted = self.tags.get("response")
        return {"response": picked(wanted, response)} if is_wanted(wanted) else {}

    def called(self, ctx: Any, usual: str) -> str:
        name = self.name(ctx) if callable(self.name) else self.name
        return str(name) if name else usual


class TracingMiddleware:
    """Gives each action, and each event when these are traced, a span.

    An action or event may say otherwise with `tracing` in its schema: `False`, `True`, or `{"tags", "span_name",
    "safety_tags"}`. What a caller has decided of a request (`ctx.tracing`) holds for all that follows from it.

    Args:
        broker: whose calls they are.
        tracer: makes the spans.
    """

    def __init__(self, broker: Any, tracer: Tracer) -> None:
        self._broker, self._tracer = broker, tracer
        self._carriers = [one for one in tracer.exporters if type(one).outgoing is not Exporter.outgoing]
        self._in_headers = str(broker.options.protocol) == "5"

    async def starting(self, _broker: Any) -> None:
        """Starts the exporters."""
        await self._tracer.start()

    async def stopped(self, _broker: Any) -> None:
        """Ends them."""
        await self._tracer.stop()

    def service_creating(self, service: Any, _schema: Any) -> None:
        """Refuses a service whose schemas ask for what there is not."""
        for schema in (*service.action_schemas, *service.event_schemas):
            _told(schema)

    # ---- here --------------------------------------------------------------------------------------------

    def local_action(self, next: Handler, action: ActionSchema) -> Handler:
        """The action within a span; itself if it is to have none."""
        wish = self._wish(action, "action") if self._tracer.actions else None
        if wish is None:
            return next
        usual, service = f"action '{action.name}'", action.service
        tracer, own = self._tracer, self._broker.node_id

        async def traced(ctx: Any) -> Any:
            options = {"id": ctx.id, "type": "action", "service": service}
            span = tracer.start_span(wish.called(ctx, usual), options, ctx)
            ctx.tracing = span.sampled
            with span:
                if not span.sampled:
                    return await next(ctx)
                tags = {
                    "callingLevel": ctx.level,
                    "action": {"name": action.name, "rawName": action.raw_name},
                    "remoteCall": ctx.node_id != own,
                    "callerNodeID": ctx.node_id,
                    "nodeID": own,
                    "options": {"timeout": ctx.timeout, "retries": (ctx.options or {}).get("retries")},
                    "requestID": ctx.request_id,
                    **wish.shown(ctx),
                }
                span.add_tags(plain(tags) if wish.safety else tags)
                answer = await next(ctx)
                span.add_tags({"fromCache": ctx.cached_result, **wish.answered(ctx, answer)})
                return answer

        return traced

    def local_event(self, next: Handler, event: EventSchema) -> Handler:
        """The listener within a span; itself if it is to have none."""
        wish = self._wish(event, "event") if self._tracer.events else None
        if wish is None:
            return next
        tracer, own, service = self._tracer, self._broker.node_id, event.service

        async def traced(ctx: Any) -> Any:
            usual = f"event '{ctx.event_name}' in '{service.full_name}'"
            options = {"id": ctx.id, "type": "event", "service": service}
            span = tracer.start_span(wish.called(ctx, usual), options, ctx)
            ctx.tracing = span.sampled
            with span:
                if span.sampled:
                    tags = {
                        "event": {"name": event.name, "group": event.group},
                        "eventName": ctx.event_name,
                        "eventType": ctx.event_type,
                        "callerNodeID": ctx.node_id,
                        "callingLevel": ctx.level,
                        "remoteCall": ctx.node_id != own,
                        "nodeID": own,
                        "requestID": ctx.request_id,
                        **wish.shown(ctx),
                    }
                    span.add_tags(plain(tags) if wish.safety else tags)
                return await next(ctx)

        return traced

    def local_channel(self, next: Handler, channel: ChannelSchema) -> Handler:
        """The handler of a channel's messages within a span; itself if it is to have none. They are traced as events
        are whose schemas do not say, and when actions are."""
        wish = self._wish(channel, "event") if self._tracer.actions else None
        if wish is None:
            return next
        tracer, own, service = self._tracer, self._broker.node_id, channel.service

        async def traced(ctx: Any) -> Any:
            usual = f"channel '{channel.name}' in '{service.full_name}'"
            span = tracer.start_span(
                wish.called(ctx, usual), {"id": ctx.id, "type": "channel", "service": service}, ctx
            )
            ctx.tracing = span.sampled
            with span:
                if span.sampled:
                    tags = {
                        "chan": {"name": channel.name, "group": channel.group},
                        "callingLevel": ctx.level,
                        "nodeID": own,
                        "requestID": ctx.request_id,
                        **wish.shown(ctx),
                    }
                    span.add_tags(plain(tags) if wish.safety else tags)
                return await next(ctx)

        return traced

    def _wish(self, schema: ActionSchema | EventSchema | ChannelSchema, kind: str) -> _Wish | None:
        told = _told(schema)
        if told.get("enabled", True) is False:
            return None
        own, usual = told.get("tags"), self._tracer.tags.get(kind)
        if callable(own):
            tags: Any = own
        elif not own and callable(usual):
            tags = usual
        else:
            tags = {"params": True, **(usual if isinstance(usual, Mapping) else {}), **(own or {})}
        return _Wish(tags, told.get("span_name"), bool(told.get("safety_tags")))

    # ---- elsewhere ---------------------------------------------------------------------------------------

    def remote_action(self, next: Handler, action: ActionSchema) -> Handler:
        """The other node's action, which is told of the span that calls it; itself if that goes without saying.

        That this hook is there at all makes Python see such calls: their parent is the span then, not the call."""
        if not self._carriers:
            return next

        async def carried(ctx: Any) -> Any:
            place = ctx.headers if self._in_headers else ctx.meta
            more = self._outgoing()
            before = {name: place.get(name) for name in more}
            place.update(more)
            try:
                return await next(ctx)
            finally:
                # It is this call's alone: the caller's meta, which gets all of ours, must not keep it.
                self._put_back(place, before)

        return carried

    def emit(self, next: Teller) -> Teller:
        """Events, which carry the span that tells of them."""
        return self._telling(next)

    def broadcast(self, next: Teller) -> Teller:
        """Events for all, which carry the span that tells of them."""
        return self._telling(next)

    def _telling(self, next: Teller) -> Teller:
        if not self._carriers:
            return next
        name = "headers" if self._in_headers else "meta"

        async def carried(event: str, data: Any, options: dict[str, Any]) -> Any:
            if more := self._outgoing():
                options = {**options, name: {**(options.get(name) or {}), **more}}
            return await next(event, data, options)

        return carried

    def _outgoing(self) -> dict[str, Any]:
        more: dict[str, Any] = {}
        for one in self._carriers:
            one.outgoing(more)
        return more

    @staticmethod
    def _put_back(place: dict[str, Any], before: Mapping[str, Any]) -> None:
        for name, value in before.items():
            if value is None:
                place.pop(name, None)
            else:
                place[name] = value


def _told(schema: ActionSchema | EventSchema | ChannelSchema) -> dict[str, Any]:
    """What a schema says of its tracing.

    Raises:
        ServiceSchemaError: it asks for what there is not.
    """
    given = schema.tracing
    if given is None or isinstance(given, bool):
        return {} if given is None else {"enabled": given}
    told = {snake(str(name)): value for name, value in given.items()} if isinstance(given, Mapping) else {"": given}
    tags = told.get("tags")
    is_known = not set(told) - _OPTIONS and (tags is None or callable(tags) or isinstance(tags, Mapping))
    if not is_known:
        raise ServiceSchemaError(
            f"{schema.name}: tracing={given!r}; give True, False, or a dict with some of {', '.join(sorted(_OPTIONS))}"
        )
    return told
