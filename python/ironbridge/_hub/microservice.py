"""`MicroService`: a class's place at a hub."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, Unpack
from weakref import WeakValueDictionary

from .. import _engine
from ..errors import ConfigurationError
from . import binding, logs, serializers, signals, warnings
from .hooks import Hooks, defined
from .marks import Marks
from .options import Options, Settings, seconds
from .session import Session, Stopping, ended
from .talking import Talking
from .tasks import Tasks

# What a composed object is given, where it has nothing of that name.
_GIVEN = ("send_broadcast", "request_action", "response", "call", "call_all")

# By the id of the object that is served, which the service keeps alive.
_services: WeakValueDictionary[int, MicroService] = WeakValueDictionary()


class MicroService(Marks, Talking, Hooks):
    """A service at a hub: it runs actions for others, has tasks of its own, and talks to all.

    Around an object of any class, which is given `send_broadcast`, `request_action`, `response`, `call` and
    `call_all` where it has nothing of these names (one that takes no new attributes finds them by
    `MicroService.of(self)`):

        MicroService(service=MyService(), sender_endpoint="ipc:///tmp/sender", receiver_endpoint="ipc:///tmp/receiver")

    or as a base class, whose constructor is called with the object itself:

        class MyService(MicroService):
            def __init__(self):
                super().__init__(self, sender_endpoint="ipc:///tmp/sender", receiver_endpoint="ipc:///tmp/receiver")

    Either class may define the hooks `on_connect`, `on_new_service`, `on_broadcast`, `on_response`,
    `on_service_lost`, `on_error` and `on_state`, plain or `async`; a plain hook runs on the loop's thread.

    Args:
        service: the object whose marked methods are the actions and tasks.
        sender_endpoint: where the hub sends: `ipc:///path`, `ipc://@name` or `tcp://host:port`.
        receiver_endpoint: where the hub receives.
        serializer: `"json"` (also None), `"msgpack"`, or an object with `dumps` and `loads`; the same in all
            services of a hub.
        debug: log every message at level DEBUG, logger `ironbridge.hub.NAME`; seen on stderr where logging is not
            configured.
        hub: `"auto"` lets this process be the hub while there is no other, where both endpoints are on this
            machine; `"never"` only looks for one.
        secret: what a hub with a secret asks for; the hub started by `"auto"` asks for it, too.
        name: the service's name; the class's when not given.
        options: see :class:`ironbridge.hub.Options`.

    Attributes:
        name: the service's name.
        actions: the actions by name, bound, each a coroutine function of `(service, data)`.
        tasks: the tasks by name, bound, each a coroutine function without arguments.

    Raises:
        ConfigurationError: an endpoint, a name, a secret or an option cannot be.
    """

    def __init__(
        self,
        service: object,
        sender_endpoint: str,
        receiver_endpoint: str,
        serializer: object = None,
        debug: bool = False,
        *,
        hub: Literal["auto", "never"] = "auto",
        secret: str | None = None,
        name: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        if isinstance(service, type):
            raise ConfigurationError(f"service is an object of the class, not the class: {service.__qualname__}(...)")
        self.name = binding.checked_name(type(service).__name__ if name is None else name, "a service's name")
        self.actions = binding.functions(service, "action")
        self.tasks = binding.functions(service, "task")
        self._settings = Settings(options)
        self._debug = bool(debug)
        self._log = logs.logger(self.name, self._debug)
        hooks = defined(service, self)
        self._failed = logs.Failures(self._log, hooks.pop("error", None))
        self._hooks = hooks
        self._endpoints = (sender_endpoint, receiver_endpoint)
        self._secret = secret
        dumps, loads = serializers.chosen(serializer)
        self._member_at = partial(
            _engine.HubMember,
            name=self.name,
            sender=sender_endpoint,
            receiver=receiver_endpoint,
            dumps=dumps,
            loads=loads,
            host=hub,
            secret=secret,
            options=self._settings.native,
        )
        self._latest = self._new_member()
        self._used = False
        self._member: _engine.HubMember | None = None
        self._session: Session | None = None
        self._served = None if service is self else service
        _services[id(service)] = self
        if service is not self:
            for attribute in _GIVEN:
                if not hasattr(service, attribute):
                    with suppress(AttributeError, TypeError):
                        setattr(service, attribute, getattr(self, attribute))

    def __repr__(self) -> str:
        return f"<MicroService {self.name!r} {'running' if self._session else 'not running'}>"

    @staticmethod
    def of(service: object) -> MicroService:
        """The MicroService that serves an object; the latest, if there are several.

        Raises:
            ConfigurationError: none does.
        """
        found = _services.get(id(service))
        if found is None:
            raise ConfigurationError(f"no MicroService was made for {service!r}")
        return found

    async def run(self, enable_tasks: bool = True) -> None:
        """Serves until `stop()`, SIGTERM, Ctrl+C or cancellation, then drains.

        Tasks start when the service is at its hub, and only if `enable_tasks`. One that fails is started again,
        after a pause that grows with each failure. Returns when the service has ended; where it was cancelled, the
        cancellation goes on.

        Raises:
            ConfigurationError: it runs already, or cannot be at this hub.
            AuthenticationError: the hub asks for another secret.
        """
        session = self._begin(enable_tasks)
        with signals.draining(session.stop):
            try:
                await session.open()
                await session.told_to_stop()
            finally:
                await self._end(session)

    async def __aenter__(self) -> Self:
        """Runs the service beside the block, which begins when it is at its hub, and drains it at the block's end."""
        session = self._begin(True)
        try:
            await session.open()
        except BaseException:
            await self._end(session)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._end(self._session)

    def stop(self, grace: float | None = None) -> Stopping:
        """Ends the service: tasks are cancelled, running handlers may finish, what waits to be sent is sent.

        From any thread and from a signal handler. The service ends whether or not what is returned is awaited; a
        handler of the service itself does not await it, since the end waits for the handler.

        Args:
            grace: seconds that all this may take; the option `grace` when not given.
        """
        if grace is not None:
            seconds("grace", grace)
        session = self._session
        return ended() if session is None else session.stop(grace)

    @property
    def stopping(self) -> bool:
        """Whether the service is ending or does not run: what a plain task in a loop looks at."""
        return self._session is None or self._session.stopping

    def services(self) -> list[_engine._HubService]:
        """Who is at the hub, this one left out: `name`, `instance`, `actions`, `last_seen` (seconds ago), `native`."""
        return (self._member or self._missing()).services()

    def stats(self) -> dict[str, Any]:
        """What this service has sent, received, dropped and refused so far. From any thread."""
        return self._latest.stats()

    def _new_member(self) -> _engine.HubMember:
        heard: dict[str, Callable[..., Any]] = dict(self._hooks)
        actions: dict[str, Callable[..., Any]] = dict(self.actions)
        if self._debug:
            log = self._log
            actions = {name: logs.received(log, name, function) for name, function in actions.items()}
            heard = {name: logs.received(log, name, function) for name, function in heard.items()}
            for name in ("broadcast", "response", "new_service", "service_lost"):
                heard.setdefault(name, logs.received(log, name, _nothing))
        heard["error"] = self._failed
        heard["state"] = partial(self._state_is, heard.get("state"))
        return self._member_at(actions=actions, hooks=heard)

    def _state_is(self, hook: Callable[[str], object] | None, state: str) -> object:
        self._log.log(logs.LEVELS.get(state, logging.INFO), "%s: %s", state, " ".join(self._endpoints))
        if state == "connected" and getattr(self._latest, "hosting", False):
            warnings.about_open_endpoints(self._log, self._endpoints, self._secret)
        return None if hook is None else hook(state)

    def _begin(self, enable_tasks: bool) -> Session:
        if self._session is not None:
            raise ConfigurationError(f"service {self.name!r} runs already; make another one to run beside it")
        if self._used:
            self._latest = self._new_member()
        self._used = False
        self._used = True
        tasks = Tasks(self.tasks if enable_tasks else {}, self._failed, self._settings.restart, self._log)
        self._session = Session(self._latest, tasks, self._settings.grace, self._log)
        self._member = self._latest
        return self._session

    async def _end(self, session: Session) -> None:
        try:
            await session.end()
        finally:
            if self._session is session:
                self._session = self._member = None


def _nothing(*arguments: object) -> None:
    pass
