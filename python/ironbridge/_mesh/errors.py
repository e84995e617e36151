"""Moleculer's errors: their names, codes and types, and how they cross between nodes.

An error that crosses is rebuilt by its name. One of a name that is not known here becomes a :class:`MoleculerError`
that keeps the name, as Moleculer's own nodes do.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from typing import Any, ClassVar

from ..errors import (
    ConfigurationError,
    DeadlineExceeded,
    IronbridgeError,
    Overloaded,
    PayloadError,
    ProtocolError,
    ServiceNotFound,
    ServiceUnavailable,
)

__all__ = [
    "BrokerDisconnectedError",
    "BrokerOptionsError",
    "GracefulStopTimeoutError",
    "InvalidPacketDataError",
    "MaxCallLevelError",
    "MoleculerClientError",
    "MoleculerError",
    "MoleculerRetryableError",
    "MoleculerServerError",
    "ProtocolVersionMismatchError",
    "QueueIsFullError",
    "RequestRejectedError",
    "RequestSkippedError",
    "RequestTimeoutError",
    "ServiceNotAvailableError",
    "ServiceNotFoundError",
    "ServiceSchemaError",
    "ValidationError",
]


class MoleculerError(IronbridgeError):
    """The root of what a call in the mesh can raise.

    Attributes:
        name: the error's class, as other nodes know it.
        message: what happened.
        code: as HTTP's: 404, 422, 500 …
        type: a word for programs, such as ``"SERVICE_NOT_FOUND"``; ``None`` when there is none.
        data: whatever else is known.
        retryable: whether trying again may help.
        node_id: the node where it was raised; ``None`` when it was here.
        stack: the traceback there, as text.
    """

    default_code: ClassVar[int | None] = 500
    default_type: ClassVar[str | None] = None
    default_retryable: ClassVar[bool] = False

    name: str
    message: str
    code: ClassVar[Any]  # Moleculer's own number, which each error has for itself
    type: str | None
    data: Any
    retryable: bool = False  # the error says it itself
    node_id: str | None
    stack: str | None

    def __init__(
        self,
        message: str = "",
        code: int | None = None,
        type: str | None = None,
        data: Any = None,
        *,
        retryable: bool | None = None,
        node_id: str | None = None,
        name: str | None = None,
        stack: str | None = None,
    ) -> None:
        Exception.__init__(self, message)
        self.fate = "executed"
        self.name = name or self.__class__.__name__
        self.message = message
        self.code = self.default_code if code is None else code  # type: ignore[misc]
        self.type = self.default_type if type is None else type
        self.data = data
        self.retryable = self.default_retryable if retryable is None else retryable
        self.node_id = node_id
        self.stack = stack

    @classmethod
    def from_data(cls, data: Any) -> MoleculerError:
        """The error that its `data` alone describes; its message is made again. For those that Moleculer makes so."""
        return cls(cls.__name__, data=data)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self.__class__, dict(self.__dict__), self.args)


def _unpickled(kind: type[MoleculerError], state: dict[str, Any], args: tuple[Any, ...]) -> MoleculerError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class MoleculerRetryableError(MoleculerError):
    """One that trying again may help against."""

    default_retryable = True


class MoleculerServerError(MoleculerRetryableError):
    """The server's fault."""


class MoleculerClientError(MoleculerError):
    """The caller's fault: trying the same again does not help."""

    default_code = 400


def _at(data: Any) -> str:
    node = data.get("nodeID") if isinstance(data, Mapping) else None
    return f" on '{node}' node" if node else ""


def _action(data: Any) -> str:
    return str(data.get("action")) if isinstance(data, Mapping) and data.get("action") is not None else ""


class ServiceNotFoundError(MoleculerRetryableError, ServiceNotFound):
    """Nobody serves this action (or not the node that was asked for)."""

    default_code, default_type = 404, "SERVICE_NOT_FOUND"
    service: str | None = None

    @classmethod
    def from_data(cls, data: Any) -> MoleculerError:
        """From `{action, nodeID}`."""
        return _rejected(cls(f"Service '{_action(data)}' is not found{_at(data)}.", data=data))


class ServiceNotAvailableError(MoleculerRetryableError, ServiceUnavailable):
    """The action is known, and cannot be called now."""

    default_code, default_type = 404, "SERVICE_NOT_AVAILABLE"

    @classmethod
    def from_data(cls, data: Any) -> MoleculerError:
        """From `{action, nodeID}`."""
        return _rejected(cls(f"Service '{_action(data)}' is not available{_at(data)}.", data=data))


class RequestTimeoutError(MoleculerRetryableError, DeadlineExceeded):
    """The call took longer than its caller waits. It may have run."""

    default_code, default_type = 504, "REQUEST_TIMEOUT"

    @classmethod
    def from_data(cls, data: Any) -> MoleculerError:
        """From `{action, nodeID}`."""
        error = cls(f"Request is timed out when call '{_action(data)}' action{_at(data)}.", data=data)
        error.fate = "outcome unknown"
        return error


class RequestSkippedError(MoleculerError, DeadlineExceeded):
    """The time of the call around it had run out before it was made: it was not sent."""

    default_code, default_type = 514, "REQUEST_SKIPPED"

    @classmethod
    def from_data(cls, data: Any) -> MoleculerError:
        """From `{action, nodeID}`."""
        error = cls(f"Calling '{_action(data)}' is skipped because timeout reached{_at(data)}.", data=data)
        error.fate = "not sent"
        return error


class RequestRejectedError(MoleculerRetryableError, ServiceUnavailable):
    """The node went away while the call was on its way. It may have run."""

    default_code, default_type = 503, "REQUEST_REJECTED"

    @classmethod
    def from_data(cls, data: Any) -> MoleculerError:
        """From `{action, nodeID}`."""
        error = cls(f"Request is rejected when call '{_action(data)}' action{_at(data)}.", data=data)
        error.fate = "outcome unknown"
        return error


class QueueIsFullError(MoleculerRetryableError, Overloaded):
    """A bound was reached: too many calls wait. Nothing was run."""

    default_code, default_type = 429, "QUEUE_FULL"

    @classmethod
    def from_data(cls, data: Any) -> MoleculerError:
        """From `{action, nodeID, size, limit}`."""
        return _rejected(cls(f"Queue is full. Request '{_action(data)}' action{_at(data)} is rejected.", data=data))


class ValidationError(MoleculerClientError, PayloadError):
    """The parameters are not what the action takes. `data` lists what is wrong with each."""

    default_code, default_type = 422, "VALIDATION_ERROR"

    def __init__(
        self, message: str = "Parameters validation error!", type: str | None = None, data: Any = None, **known: Any
    ) -> None:
        known.pop("code", None)
        super().__init__(message, None, type, data, **known)
        self.fate = "rejected"


class MaxCallLevelError(MoleculerError):
    """Calls within calls within calls: more than the broker allows (`max_call_level`)."""

    default_code, default_type = 500, "MAX_CALL_LEVEL"

    @classmethod
    def from_data(cls, data: Any) -> MoleculerError:
        """From `{nodeID, level}`."""
        level = data.get("level") if isinstance(data, Mapping) else None
        return _rejected(cls(f"Request level is reached the limit ({level}){_at(data)}.", data=data))


class BrokerDisconnectedError(MoleculerRetryableError, ServiceUnavailable):
    """The transporter is not there now: nothing was sent. The broker comes back by itself; try again then."""

    default_code, default_type = 502, "BAD_GATEWAY"

    def __init__(self, message: str = "", *args: Any, **known: Any) -> None:
        told = "The broker's transporter has disconnected. Please try again when a connection is reestablished."
        super().__init__(message or told, *args, **known)
        self.fate = "not sent"


class ServiceSchemaError(MoleculerError, ConfigurationError):
    """A service is not written as services are."""

    default_code, default_type = 500, "SERVICE_SCHEMA_ERROR"


class BrokerOptionsError(MoleculerError, ConfigurationError):
    """An option of the broker is wrong."""

    default_code, default_type = 500, "BROKER_OPTIONS_ERROR"


class GracefulStopTimeoutError(MoleculerError):
    """Something did not end in its time when the broker, or a service, was stopped."""

    default_code, default_type = 500, "GRACEFUL_STOP_TIMEOUT"


class ProtocolVersionMismatchError(MoleculerError, ProtocolError):
    """Another node speaks another version of the protocol."""

    default_code, default_type = 500, "PROTOCOL_VERSION_MISMATCH"


class InvalidPacketDataError(MoleculerError, ProtocolError):
    """A packet that cannot be read."""

    default_code, default_type = 500, "INVALID_PACKET_DATA"


def _rejected(error: MoleculerError) -> MoleculerError:
    error.fate = "rejected"
    return error


_BY_NAME: dict[str, type[MoleculerError]] = {
    kind.__name__: kind
    for kind in (
        MoleculerError,
        MoleculerRetryableError,
        MoleculerServerError,
        MoleculerClientError,
        ServiceNotFoundError,
        ServiceNotAvailableError,
        RequestTimeoutError,
        RequestSkippedError,
        RequestRejectedError,
        QueueIsFullError,
        ValidationError,
        MaxCallLevelError,
        BrokerDisconnectedError,
        ServiceSchemaError,
        BrokerOptionsError,
        GracefulStopTimeoutError,
        ProtocolVersionMismatchError,
        InvalidPacketDataError,
    )
}
# Made again from what they tell, as Moleculer does: their messages do not cross.
_FROM_DATA = {
    "ServiceNotFoundError",
    "ServiceNotAvailableError",
    "RequestTimeoutError",
    "RequestSkippedError",
    "RequestRejectedError",
    "QueueIsFullError",
    "MaxCallLevelError",
}


def from_wire(told: Any, sender: str | None) -> MoleculerError:
    """The error that a node's answer tells of; `sender` is that node. Anything at all makes one."""
    if not isinstance(told, Mapping):
        error = MoleculerError(str(told), node_id=sender, name="Error")
        return error
    name = _text(told.get("name")) or "Error"
    kind, data = _BY_NAME.get(name), told.get("data")
    message, type_ = _message(told.get("message")), _text(told.get("type"))
    # Those of Node.js's own errors are words: ENOENT.
    code: Any = told.get("code")
    code = code if isinstance(code, int | str) and not isinstance(code, bool) else None
    if kind is not None and name in _FROM_DATA:
        error = kind.from_data(data)
    elif kind is ValidationError:
        error = ValidationError(message, type_, data)
    elif kind is not None:
        error = kind(message, code, type_, data)
    else:
        error = MoleculerError(message, code, type_, data, name=name)
        error.code = code  # type: ignore[misc]  # what did not say does not say here
    if isinstance(told.get("retryable"), bool):
        error.retryable = told["retryable"]
    error.node_id = _text(told.get("nodeID")) or sender
    error.stack = _text(told.get("stack"))
    if error.stack:
        error.add_note(f"Raised on node {error.node_id}:\n{error.stack}")
    return error


def to_wire(error: BaseException, node_id: str) -> dict[str, Any]:
    """What crosses of an error that a handler raised. Other nodes' keep the node where they were raised."""
    stack = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    if isinstance(error, MoleculerError):
        told = {
            "name": error.name,
            "message": error.message,
            "nodeID": error.node_id or node_id,
            "code": error.code,
            "type": error.type,
            "retryable": error.retryable,
            "stack": error.stack or stack,
            "data": error.data,
        }
        return {key: value for key, value in told.items() if value is not None or key == "message"}
    try:
        message = str(error)
    except Exception:  # a broken __str__ must not hide the failure itself
        message = f"<{type(error).__name__} whose str() fails>"
    told = {"name": type(error).__name__, "message": message, "nodeID": node_id, "stack": stack}
    known: tuple[tuple[str, Any], ...] = (("code", int | str), ("type", str), ("retryable", bool))
    for key, kinds in known:
        value = getattr(error, key, None)
        if isinstance(value, kinds):
            told[key] = value
    return told


def of_engine(kind: str, action: str, node: str | None, more: Mapping[str, Any] | None = None) -> MoleculerError:
    """The error for what the engine tells: the name of the class, the action, and the node that it is about."""
    data: dict[str, Any] = {"action": action}
    if node is not None:
        data["nodeID"] = node
    data.update(more or {})
    return _BY_NAME[kind].from_data(data)


def _message(value: Any) -> str:
    """What an error says; JavaScript throws anything, and then that is the message."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
