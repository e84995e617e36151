"""`MicroService`: a class's place at a hub."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, Unpack
from weakref import WeakValueDictionary

from .. import _engine
from ..errors import ConfigurationError
from . import binding, serializers, signals
from .core import Core
from .hooks import Hooks, defined
from .marks import Marks
from .options import Options, Settings, seconds
from .session import Stopping, ended
from .talking import Talking

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
        dumps, loads = serializers.chosen(serializer)
        settings = Settings(options)
        self._ironbridge = Core(
            name=self.name,
            served=None if service is self else service,
            actions=self.actions,
            tasks=self.tasks,
            hooks=defined(service, self),
            make=partial(
                _engine.HubMember,
                name=self.name,
                sender=sender_endpoint,
                receiver=receiver_endpoint,
                dumps=dumps,
                loads=loads,
                host=hub,
                secret=secret,
                options=settings.native,
            ),
            settings=settings,
            debug=bool(debug),
        )
        _services[id(service)] = self
        if service is not self:
            for attribute in _GIVEN:
                if not hasattr(service, attribute):
                    with suppress(AttributeError, TypeError):
                        setattr(service, attribute, getattr(self, attribute))

    def __repr__(self) -> str:
        return f"<MicroService {self.name!r} {'running' if self._ironbridge.session else 'not running'}>"

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
        session = self._ironbridge.begin(enable_tasks)
        with signals.draining(session.stop):
            try:
                await session.open()
                await session.told_to_stop()
            finally:
                await self._ironbridge.end(session)

    async def __aenter__(self) -> Self:
        """Runs the service beside the block, which begins when it is at its hub, and drains it at the block's end."""
        session = self._ironbridge.begin(True)
        try:
            await session.open()
        except BaseException:
            await self._ironbridge.end(session)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session = self._ironbridge.session
        if session is not None:
            await self._ironbridge.end(session)

    def stop(self, grace: float | None = None) -> Stopping:
        """Ends the service: tasks are cancelled, running handlers may finish, what waits to be sent is sent.

        From any thread and from a signal handler. The service ends whether or not what is returned is awaited; a
        handler of the service itself does not await it, since the end waits for the handler.

        Args:
            grace: seconds that all this may take; the option `grace` when not given.
        """
        if grace is not None:
            seconds("grace", grace)
        session = self._ironbridge.session
        return ended() if session is None else session.stop(grace)

    @property
    def stopping(self) -> bool:
        """Whether the service is ending or does not run: what a plain task in a loop looks at."""
        session = self._ironbridge.session
        return session is None or session.stopping

    def services(self) -> list[_engine._HubService]:
        """Who is at the hub, this one left out: `name`, `instance`, `actions`, `last_seen` (seconds ago), `native`."""
        core = self._ironbridge
        return (core.member or core.missing()).services()

    def stats(self) -> dict[str, Any]:
        """What this service has sent, received, dropped and refused so far. From any thread."""
        return self._ironbridge.stats()
