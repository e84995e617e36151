"""What a program says about its services: `create(...)`, `.daemon()`, `.register(...)`, `run(...)`."""

from __future__ import annotations

from ..errors import ConfigurationError
from ..service import checked_name, collect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, TypeVar, overload

    from ..service import Endpoint
    from .handle import DaemonHandle

    C = TypeVar("C", bound=type)
    F = TypeVar("F", bound="Callable[..., Any]")

_registered: dict[str, Registration] = {}
_latest: Registration | None = None

# In a daemon that is importing the user's module: the service that it is to serve.
_importing: str | None = None


class EndOfImport(BaseException):
    """In a daemon: the user's module has reached `run()`, and what follows is the parent's."""


class Registration:
    """One service of this program. Made by :func:`create`.

    Attributes:
        name: the service's name.
        owner: the class that serves it, if any.
        functions: the plain functions that serve it, by name.
        options: how it is to be served.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.owner: type | None = None
        self.functions: dict[str, Callable[..., Any]] = {}
        self.options: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<service {self.name!r}>"

    if TYPE_CHECKING:

        @overload
        def daemon(self, workers: C) -> C: ...
        @overload
        def daemon(self, workers: int = 1, threads: int | None = None) -> Callable[[C], C]: ...

    def daemon(self, workers: Any = 1, threads: int | None = None) -> Any:
        """Class decorator: the class serves under this name, in a process of its own.

        Args:
            workers: processes that share the name.
            threads: threads in each that run endpoints; default `META_WORKERS` in the environment,
                else two per core, at least 4 and at most 32.

        Raises:
            ConfigurationError: a number is out of range, or what is decorated is no class.
        """
        if isinstance(workers, type):
            return self.daemon()(workers)
        _in_range("workers", workers, 1, 1024)
        if threads is not None:
            _in_range("threads", threads, 1, 1024)

        def serve(owner: C) -> C:
            if not isinstance(owner, type):
                raise ConfigurationError(f"daemon() decorates a class, not {owner!r}; for a function use register()")
            self.owner = owner
            self.options.update(workers=workers, threads=threads)
            return owner

        return serve

    if TYPE_CHECKING:

        @overload
        def register(self, function: F, name: str | None = None) -> F: ...
        @overload
        def register(self, function: None = None, name: str | None = None) -> Callable[[F], F]: ...

    def register(self, function: Any = None, name: str | None = None) -> Any:
        """Makes a plain function an endpoint of this service, under its own name or `name`.

        Also a decorator: `@service.register` or `@service.register(name="x")`.

        Raises:
            ConfigurationError: it is no function, or the name is taken in this service.
        """
        if function is None:
            return lambda decorated: self.register(decorated, name)
        if not callable(function) or isinstance(function, type):
            raise ConfigurationError(f"register() takes a function, not {function!r}; for a class use daemon()")
        chosen = checked_name(name if name is not None else getattr(function, "__name__", None))
        if chosen == "<lambda>":
            raise ConfigurationError("a lambda has no name to be called by; give it one: register(f, name=...)")
        self.functions[chosen] = function
        return function

    def endpoints(self) -> list[Endpoint]:
        """What this service offers.

        Raises:
            ConfigurationError: nothing, or two endpoints of one name.
        """
        found = collect(self.owner, self.functions)
        if not found:
            what = f"class {self.owner.__qualname__}" if self.owner else "no class and no function"
            raise ConfigurationError(
                f"service {self.name!r} has no endpoint ({what}); mark methods with @function or @endpoint"
            )
        return found

    def run(
        self,
        *,
        wait: bool = False,
        poll_interval: float = 0.5,
        startup_timeout: float = 5.0,
        detach: bool = False,
    ) -> DaemonHandle:
        """Starts this service's daemon; see :func:`run`."""
        if self.name == _importing:
            raise EndOfImport
        if poll_interval <= 0 or startup_timeout <= 0:
            raise ConfigurationError("poll_interval and startup_timeout are seconds, more than 0")
        from . import start

        if _importing is not None:
            return start.elsewhere(self.name)
        handle = start.run(self, startup_timeout, detach)
        if wait:
            handle.join()
        return handle


def create(
    name: str,
    host: str | None = None,
    *,
    logger: bool = False,
    port: int | None = None,
    token: str | None = None,
    tls_cert: str | None = None,
    tls_key: str | None = None,
    cache_size: int = 128,
    cache_ttl: float | None = None,
    on_evict: Literal["rebuild", "error"] = "rebuild",
) -> Registration:
    """Defines a service; `.daemon()` on a class or `.register()` of functions says what it runs.

    Args:
        name: 1 to 128 printable characters without `/`.
        host: also listen for other machines, on this address ("0.0.0.0": all of them).
        logger: log each call, its arguments (truncated), result and failures.
        port: the port to listen on; a free one when not given.
        token: what a caller from elsewhere must know; made and kept in a private file when not given.
        tls_cert, tls_key: paths of a certificate and its key, in PEM.
        cache_size: instances kept, one for each different set of constructor arguments.
        cache_ttl: seconds after which an instance that nobody called is let go.
        on_evict: what a call to an instance that was let go does: build it again, or fail.

    Returns:
        The one registration of that name in this process.

    Raises:
        ConfigurationError: a value is out of range, or only one of certificate and key is given.
    """
    global _latest
    if not isinstance(name, str) or not 0 < len(name) <= 128 or not name.isprintable() or "/" in name:
        raise ConfigurationError(f"a service's name is 1 to 128 printable characters without '/', not {name!r}")
    if port is not None:
        _in_range("port", port, 0, 65535)
    _in_range("cache_size", cache_size, 1, 1_000_000)
    if cache_ttl is not None and not cache_ttl > 0:
        raise ConfigurationError(f"cache_ttl is seconds, more than 0, or None; not {cache_ttl!r}")
    if on_evict not in ("rebuild", "error"):
        raise ConfigurationError(f"on_evict is 'rebuild' or 'error', not {on_evict!r}")
    if (tls_cert is None) != (tls_key is None):
        raise ConfigurationError("TLS needs both tls_cert and tls_key")
    if host is None and (port is not None or tls_cert is not None):
        host = "127.0.0.1"
    registration = _registered.get(name)
    if registration is None:
        registration = _registered[name] = Registration(name)
    registration.options.update(
        host=host,
        logger=logger,
        port=port,
        token=token,
        tls_cert=tls_cert,
        tls_key=tls_key,
        cache_size=cache_size,
        cache_ttl=cache_ttl,
        on_evict=on_evict,
    )
    _latest = registration
    return registration


def run(
    name: str | None = None,
    *,
    wait: bool = False,
    poll_interval: float = 0.5,
    startup_timeout: float = 5.0,
    detach: bool = False,
) -> DaemonHandle:
    """Starts a service's daemon and returns its handle once it serves.

    A daemon of the same class that lives already, started by whatever program, is attached to
    instead; its handle's `stop()` lets go of it. The daemon ends with this process, however that
    ends, unless `detach` is true.

    Args:
        name: which service; the one created last when not given.
        wait: return only when the daemon has ended.
        poll_interval: accepted for programs that give it; nothing here polls.
        startup_timeout: seconds for the daemon to be ready; after that it is killed.
        detach: the daemon outlives this process, in a session of its own.

    Raises:
        ConfigurationError: no such service, no endpoint, or a class that cannot be found again.
        ServiceAlreadyExists: another class serves under this name, or another version of this one.
        DeadlineExceeded: the daemon was not ready in time.
        RemoteExecutionError: the user's module raised in the daemon; its traceback is shown.
        ServiceUnavailable: the daemon ended while it started, and could not say why.
    """
    if name is None:
        if _latest is None:
            raise ConfigurationError("there is no service to run: create one first, create('name').daemon()")
        registration = _latest
    else:
        found = _registered.get(name)
        if found is None:
            known = ", ".join(map(repr, _registered)) or "none"
            raise ConfigurationError(f"this program has no service {name!r} (created: {known})")
        registration = found
    return registration.run(wait=wait, poll_interval=poll_interval, startup_timeout=startup_timeout, detach=detach)


def registered(name: str) -> Registration | None:
    """The registration of that name in this process."""
    return _registered.get(name)


def _in_range(what: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ConfigurationError(f"{what} is a whole number from {least} to {most}, not {value!r}")
