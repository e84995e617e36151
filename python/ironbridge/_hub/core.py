"""What a `MicroService` holds, apart from it: a user's subclass may call its own attributes as it likes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from .. import _engine
from ..errors import ConfigurationError, ServiceUnavailable
from . import logs, warnings
from .binding import Bound
from .options import Settings
from .session import Session
from .tasks import Tasks

MakeMember = Callable[..., _engine.HubMember]


class Core:
    """One service, running or not.

    Attributes:
        member: its place at the hub, while it runs.
        session: its present run.
        log: its logger.
        debug: whether every message is logged.
    """

    __slots__ = (
        "_actions",
        "_failed",
        "_hooks",
        "_latest",
        "_make",
        "_name",
        "_settings",
        "_tasks",
        "debug",
        "log",
        "member",
        "served",
        "session",
    )

    def __init__(
        self,
        name: str,
        served: object,
        actions: dict[str, Bound],
        tasks: dict[str, Bound],
        hooks: dict[str, Callable[..., Any]],
        make: MakeMember,
        settings: Settings,
        debug: bool,
    ) -> None:
        self.log = logs.logger(name, debug)
        self.debug = debug
        self.member: _engine.HubMember | None = None
        self.session: Session | None = None
        self.served = served  # kept alive
        self._name = name
        self._actions = actions
        self._tasks = tasks
        self._failed = logs.Failures(self.log, hooks.pop("error", None))
        self._hooks = hooks
        self._make = make
        self._settings = settings
        # What cannot be is told now. The one that runs is made when it does, perhaps in a forked child.
        self._latest = self._new_member()
        self._latest.close()

    def begin(self, enable_tasks: bool) -> Session:
        """A new run."""
        if self.session is not None:
            raise ConfigurationError(f"service {self._name!r} runs already; make another one to run beside it")
        tasks = Tasks(self._tasks if enable_tasks else {}, self._failed, self._settings.restart, self.log)
        self.member = self._latest = self._new_member()
        self.session = Session(self.member, tasks, self._settings.grace, self.log)
        return self.session

    async def end(self, session: Session) -> None:
        """Ends a run."""
        try:
            await session.end()
        finally:
            if self.session is session:
                self.session = self.member = None

    def stats(self) -> dict[str, Any]:
        """Of this run, or of the last one."""
        return self._latest.stats()

    def missing(self) -> NoReturn:
        """Says that it does not run."""
        raise ServiceUnavailable(
            f"service {self._name!r} does not run: it sends and calls while `await service.run()` or "
            "`async with service:` does"
        )

    def _new_member(self) -> _engine.HubMember:
        heard: dict[str, Callable[..., Any]] = dict(self._hooks)
        actions: dict[str, Callable[..., Any]] = dict(self._actions)
        if self.debug:
            log = self.log
            for name in ("broadcast", "response", "new_service", "service_lost"):
                heard.setdefault(name, _nothing)
            actions = {name: logs.received(log, name, function) for name, function in actions.items()}
            heard = {name: logs.received(log, name, function) for name, function in heard.items()}
        heard["error"] = self._failed
        heard["state"] = partial(self._state_is, self._hooks.get("state"))
        return self._make(actions=actions, hooks=heard)

    def _state_is(self, hook: Callable[[str], object] | None, state: str) -> object:
        if self.session is None or not self.session.stopping:
            logs.state(self.log, state)
        if state == "connected":
            warnings.say(self.log, self._latest.warnings)
        return None if hook is None else hook(state)


def _nothing(*arguments: object) -> None:
    pass
