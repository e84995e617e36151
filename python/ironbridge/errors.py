"""Every exception of Ironbridge, one tree.

``IronbridgeError`` is the root. Each error knows its stable number (``code``) and what became of
the call it ended (``fate``), which is what a caller needs to know before trying again.
Where Python has an exception of the same meaning, ours is one too: ``except TimeoutError`` catches
``DeadlineExceeded``, ``except ConnectionError`` catches ``ConnectionLost``, and ``hasattr`` works
on clients because ``EndpointNotFound`` is an ``AttributeError``.
"""

from __future__ import annotations

import builtins
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Any, ClassVar, Literal

    Fate = Literal["executed", "not sent", "outcome unknown", "rejected"]

__all__ = [
    "AuthenticationError",
    "CallCancelled",
    "CircuitOpen",
    "ConfigurationError",
    "ConnectionLost",
    "DeadlineExceeded",
    "EndpointNotFound",
    "InstanceEvicted",
    "IronbridgeError",
    "Overloaded",
    "PayloadError",
    "ProtocolError",
    "RemoteExecutionError",
    "ServiceAlreadyExists",
    "ServiceNotFound",
    "ServiceUnavailable",
]

_FATES: tuple[Fate, ...] = ("executed", "not sent", "outcome unknown", "rejected")


class IronbridgeError(Exception):
    """The root of every error of Ironbridge.

    Attributes:
        code: the stable number of this kind of error, the same in every language and version.
        fate: what became of the call: ``"executed"`` (it ran to its end), ``"not sent"``,
            ``"outcome unknown"`` (it was sent and may have run) or ``"rejected"`` (refused before
            anything ran).
    """

    code: ClassVar[int] = 0
    fate: Fate = "not sent"
    # Facts that an error of this kind may carry as attributes, ``None`` when not known.
    _facts: ClassVar[tuple[str, ...]] = ()

    def __init__(self, message: str = "", *, fate: Fate = "not sent", **facts: object) -> None:
        super().__init__(message)
        self.fate = fate
        for name in self._facts:
            setattr(self, name, facts.pop(name, None))
        if facts:
            raise TypeError(f"{type(self).__name__} has no attribute {next(iter(facts))!r}")

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""

    @property
    def may_have_run(self) -> bool:
        """Whether the endpoint may have run, wholly or in part."""
        return self.fate in ("executed", "outcome unknown")

    @property
    def retryable(self) -> bool:
        """Whether trying again cannot run the endpoint twice."""
        return not self.may_have_run


class RemoteExecutionError(IronbridgeError):
    """The service's own code raised.

    Where the remote exception's class is a builtin one, or one already loaded here, the raised
    error is an instance of that class too, with its ``args``: ``except ValueError`` works. The
    remote traceback is shown under the local one.

    Attributes:
        type_name: the remote class's name, such as ``"ValueError"`` or ``"shop.SoldOut"``.
        message: what ``str()`` of the remote exception gave.
        remote_traceback: the remote traceback as text, empty when the service sent none.
    """

    code: ClassVar[int] = 1
    # Values here, so that a derived class finds these before what its other base may define.
    type_name: str = "Exception"
    message: str = ""
    remote_traceback: str = ""

    def __init__(
        self,
        message: str = "",
        *,
        type_name: str = "Exception",
        remote_traceback: str = "",
        fate: Fate = "executed",
    ) -> None:
        Exception.__init__(self, message)
        self.fate = fate
        self.type_name = type_name
        self.message = message
        self.remote_traceback = remote_traceback

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}" if self.message else self.type_name

    def __reduce__(self) -> tuple[Any, ...]:
        origin = getattr(type(self), "_origin", None)
        named = (origin.__module__, origin.__qualname__) if origin is not None else ("", "")
        return _remote, (*named, _arguments(self)), dict(self.__dict__)


class ServiceNotFound(IronbridgeError):
    """Nobody serves that name (``.service``) here."""

    code: ClassVar[int] = 2
    service: str | None
    _facts: ClassVar[tuple[str, ...]] = ("service",)


class ServiceAlreadyExists(IronbridgeError):
    """The name (``.service``) is taken by another class, served by process ``.pid``."""

    code: ClassVar[int] = 3
    service: str | None
    pid: int | None
    _facts: ClassVar[tuple[str, ...]] = ("service", "pid")


class EndpointNotFound(IronbridgeError, AttributeError):
    """The service has no endpoint of that name (``.endpoint``)."""

    code: ClassVar[int] = 4
    service: str | None
    endpoint: str | None
    _facts: ClassVar[tuple[str, ...]] = ("service", "endpoint")


class DeadlineExceeded(IronbridgeError, TimeoutError):
    """The caller's time ran out; ``fate`` says whether the call may have run."""

    code: ClassVar[int] = 5


class ConnectionLost(IronbridgeError, ConnectionError):
    """The connection ended during the call; ``may_have_run`` says whether it may have run."""

    code: ClassVar[int] = 6


class ServiceUnavailable(IronbridgeError, ConnectionError):
    """The service is known and does not answer."""

    code: ClassVar[int] = 7


class Overloaded(IronbridgeError):
    """A bound of the service was reached; nothing ran."""

    code: ClassVar[int] = 8


class CircuitOpen(IronbridgeError):
    """A circuit breaker refuses calls for a while."""

    code: ClassVar[int] = 9


class AuthenticationError(IronbridgeError):
    """A wrong or missing token, or a certificate that does not verify."""

    code: ClassVar[int] = 10


class ProtocolError(IronbridgeError):
    """The peer does not keep to the protocol, or speaks another version of it."""

    code: ClassVar[int] = 11


class PayloadError(IronbridgeError):
    """A value that cannot cross, or is over a limit; the message names the path to it."""

    code: ClassVar[int] = 12


class ConfigurationError(IronbridgeError):
    """A setting is wrong, or something that is needed is missing."""

    code: ClassVar[int] = 13


class CallCancelled(IronbridgeError):
    """The call was cancelled: by its caller, or because the service is shutting down."""

    code: ClassVar[int] = 14


class InstanceEvicted(IronbridgeError):
    """The instance left the service's cache, and the service refuses to rebuild it."""

    code: ClassVar[int] = 15


_BY_CODE: dict[int, type[IronbridgeError]] = {
    kind.code: kind
    for kind in (
        RemoteExecutionError,
        ServiceNotFound,
        ServiceAlreadyExists,
        EndpointNotFound,
        DeadlineExceeded,
        ConnectionLost,
        ServiceUnavailable,
        Overloaded,
        CircuitOpen,
        AuthenticationError,
        ProtocolError,
        PayloadError,
        ConfigurationError,
        CallCancelled,
        InstanceEvicted,
    )
}

# Deriving from these would change the caller's control flow, or needs more than ``args``.
_NEVER_DERIVED = (StopIteration, StopAsyncIteration, ExceptionGroup, RemoteExecutionError)

# The class of a remote exception -> the class raised here, derived from both.
_derived: dict[type[Exception], type[RemoteExecutionError]] = {}


def from_wire(code: int, fate: int, message: str, detail: Mapping[str, Any] | None = None) -> IronbridgeError:
    """The exception for an error that the engine or a peer reports by its numbers.

    ``detail`` of a remote failure holds ``type``, ``module``, ``message``, ``traceback``, ``args``
    (a sequence, or ``None`` when they could not cross); of another error, its facts.
    Never imports anything: a class named by a peer is used only when it is loaded already.
    """
    became = _FATES[fate] if 0 <= fate < len(_FATES) else "outcome unknown"
    kind = _BY_CODE.get(code, ProtocolError)
    detail = detail or {}
    if kind is not RemoteExecutionError:
        facts = {name: detail[name] for name in kind._facts if name in detail}
        return kind(message, fate=became, **facts)
    module, qualname = str(detail.get("module") or ""), str(detail.get("type") or "Exception")
    said = str(detail.get("message", message))
    args = detail.get("args")
    error = _remote(module, qualname, (said,) if args is None else args)
    local = module in ("", "builtins", "__main__", "__mp_main__")
    error.fate = became
    error.type_name = qualname if local else f"{module}.{qualname}"
    error.message = said
    error.remote_traceback = str(detail.get("traceback") or "")
    if error.remote_traceback:
        error.add_note("Remote " + error.remote_traceback.rstrip().replace("Traceback", "traceback", 1))
    return error


def to_wire(error: BaseException) -> dict[str, Any]:
    """What crosses of an exception that an endpoint raised: the ``detail`` of :func:`from_wire`.

    A failure that itself came from another service keeps the class it had there.
    """
    import traceback

    kind: type = getattr(type(error), "_origin", type(error))
    try:
        message = error.message if isinstance(error, RemoteExecutionError) else str(error)
    except Exception:  # a broken __str__ must not hide the failure itself
        message = f"<{kind.__name__} whose str() fails>"
    return {
        "type": kind.__qualname__,
        "module": kind.__module__,
        "message": message,
        "traceback": "".join(traceback.format_exception(type(error), error, _users(error.__traceback__))),
        "args": _arguments(error),
        "notes": [str(note) for note in getattr(error, "__notes__", ())],
    }


def _arguments(error: BaseException) -> tuple[Any, ...]:
    """What an equal exception is made with: an `OSError` keeps its file names out of its `args`."""
    if isinstance(error, OSError) and error.filename is not None:
        second = (None, error.filename2) if error.filename2 is not None else ()
        return (error.errno, error.strerror, error.filename, *second)
    return error.args


def _users(frames: TracebackType | None) -> TracebackType | None:
    """A traceback from the user's own first frame on; all of it when there is none."""
    ours = (__file__.rpartition("/")[0] + "/", "<frozen importlib")
    own = frames
    while own is not None and own.tb_frame.f_code.co_filename.startswith(ours):
        own = own.tb_next
    return own or frames


def _remote(module: str, qualname: str, args: Sequence[Any]) -> RemoteExecutionError:
    """A remote failure of the named class, which is derived from when it is loaded here."""
    origin = _loaded(module, qualname)
    if origin is None:
        error = RemoteExecutionError.__new__(RemoteExecutionError, *args)
        RemoteExecutionError.__init__(error)
        error.args = tuple(args)
    else:
        kind = _derive(origin)
        try:
            error = kind.__new__(kind, *args)
            RemoteExecutionError.__init__(error)
            error.args = tuple(args)
            # The class's own constructor fills what its users read: errno, name, status...
            if origin.__init__ is not Exception.__init__:
                origin.__init__(error, *args)
        except Exception:
            # Arguments that its constructor does not take: without them it is of that class still.
            error = RemoteExecutionError.__new__(kind)
            RemoteExecutionError.__init__(error)
            error.args = tuple(args)
    return error


def _derive(origin: type[Exception]) -> type[RemoteExecutionError]:
    known = _derived.get(origin)
    if known is None:
        namespace = {
            "__module__": __name__,
            "__doc__": origin.__doc__,
            "__setattr__": Exception.__setattr__,  # a frozen dataclass has its own
            "_origin": origin,
        }
        try:
            made = type(RemoteExecutionError.__name__, (RemoteExecutionError, origin), namespace)
        except Exception:  # a class that refuses subclasses
            made = RemoteExecutionError
        known = _derived[origin] = made
    return known


def _main_called(module: str) -> Any:
    """The main program, if a daemon of its calls it so: by its file's name, or as `__mp_main__`."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return main if spec.name == module else None
    file = str(getattr(main, "__file__", None) or "").rpartition("/")[2]
    return main if module in ("__mp_main__", file.removesuffix(".py")) else None


def _loaded(module: str, qualname: str) -> type[Exception] | None:
    """The exception class of that name, if its module is loaded already."""
    found: Any = builtins if module == "builtins" else sys.modules.get(module) or _main_called(module)
    for part in qualname.split("."):
        # Only what is there already: a lazy module's __getattr__ may import.
        found = getattr(found, "__dict__", {}).get(part)
    if isinstance(found, type) and issubclass(found, Exception) and not issubclass(found, _NEVER_DERIVED):
        return found
    return None
