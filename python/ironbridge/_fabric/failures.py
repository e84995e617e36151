"""Exceptions as answers, and answers as exceptions, in the form of `aio_pika.patterns.JsonRPC`."""

from __future__ import annotations

import builtins
import traceback
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigurationError, IronbridgeError, RemoteExecutionError, from_wire
from .contained import Exited


class MessageSettled(ConfigurationError):
    """It was said before what is to become of this message."""


def settled() -> MessageSettled:
    """For a message that is settled a second time."""
    return MessageSettled(
        "this message was acknowledged or rejected before: say it once, or use process(ignore_processed=True)"
    )


def body(error: BaseException) -> dict[str, Any]:
    """What an answer says of an exception: `{"error": {"type", "message", "args", …}}`.

    The first three are those of the originals: a builtin class by its name alone, any other with its module; the
    exception's `repr`; its arguments. Peers of this make read the rest, too.
    """
    if isinstance(error, (StopIteration, StopAsyncIteration)):
        # As of a coroutine that raises it. Originals that call wait for ever when they read of one.
        error = _caused(RuntimeError(f"the method raised {type(error).__name__}"), error)
    told: dict[str, Any] = {"type": _name(error), "message": _safely(repr, error), "args": list(error.args)}
    told["text"] = error.message if isinstance(error, RemoteExecutionError) else _safely(str, error)
    told["traceback"] = "".join(traceback.format_exception(error))
    if isinstance(error, IronbridgeError) and not isinstance(error, RemoteExecutionError):
        told["code"] = error.code
    return {"error": told}


def _caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def _name(error: BaseException) -> str:
    """The class as originals look it up, to make one of the message and the arguments."""
    if isinstance(error, Exited) and error.__cause__ is not None:
        error = error.__cause__
    kind: type = getattr(type(error), "_origin", type(error))
    if kind is RemoteExecutionError:
        return error.type_name if isinstance(error, RemoteExecutionError) else kind.__name__
    if issubclass(kind, IronbridgeError):
        # Ours are not made so. Peers of this make know it by its code, others by the builtin of the same meaning.
        named = (base.__name__ for base in kind.__mro__ if base.__module__ == "builtins" and base is not Exception)
        return next((name for name in named if name not in ("BaseException", "object")), "RuntimeError")
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _safely(shown: Any, error: BaseException) -> str:
    try:
        return str(shown(error))
    except Exception:  # a broken __str__ must not hide the failure itself
        return f"<{type(error).__name__} whose {shown.__name__}() fails>"


def of_reply(payload: object) -> IronbridgeError:
    """The exception that an answer tells of, whoever wrote it. A class that a peer names is never imported."""
    told = payload.get("error") if isinstance(payload, Mapping) else None
    if not isinstance(told, Mapping):
        return RemoteExecutionError(str(payload), type_name="Exception")
    name, shown = str(told.get("type") or "Exception"), str(told.get("message") or "")
    args = told.get("args")
    arguments = tuple(args) if isinstance(args, (list, tuple)) else None
    code = told.get("code")
    if isinstance(code, int) and code != RemoteExecutionError.code:
        fate = told.get("fate")
        return from_wire(code, fate if isinstance(fate, int) else 0, str(told.get("text") or _text(arguments, shown)))
    module, _, qualname = name.rpartition(".")
    if not module and isinstance(getattr(builtins, qualname, None), type):
        module = "builtins"
    text = told.get("text")
    detail = {
        "module": module,
        "type": qualname,
        "message": text if isinstance(text, str) else _text(arguments, shown),
        "args": arguments,
        "traceback": told.get("traceback") if isinstance(told.get("traceback"), str) else "",
    }
    return from_wire(RemoteExecutionError.code, 0, shown, detail)


def _text(args: tuple[Any, ...] | None, shown: str) -> str:
    """About what `str()` of the exception gave, where only its arguments and its `repr` came."""
    if args is not None and len(args) == 1 and isinstance(args[0], str):
        return args[0]
    return shown
