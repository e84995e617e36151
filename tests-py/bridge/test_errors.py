"""The tree of errors: what is caught by what, what crosses, what is shown."""

from __future__ import annotations

import dataclasses
import pickle
import sys
import traceback
from typing import Any

import pytest
from ironbridge import errors


class SoldOut(Exception):
    def __init__(self, article: str, left: int = 0) -> None:
        super().__init__(article, left)
        self.article = article


class Nested:
    class Inner(ValueError):
        pass


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code_: int

    @property
    def message(self) -> str:
        return "its own"


class NeedsMore(Exception):
    def __init__(self, *, needed: int) -> None:
        self.needed = needed


def cross(error: BaseException) -> errors.IronbridgeError:
    """What a caller gets when an endpoint raises this."""
    try:
        raise error
    except BaseException as raised:
        return errors.from_wire(1, 0, str(raised), errors.to_wire(raised))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad"),
        KeyError("key"),
        ZeroDivisionError(),
        FileNotFoundError(2, "No such file", "/nowhere"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        SoldOut("tea", 3),
        Nested.Inner("deep"),
        Frozen(3),
    ],
)
def test_a_remote_failure_is_of_its_own_class_too(error: Exception) -> None:
    arrived = cross(error)
    assert isinstance(arrived, errors.RemoteExecutionError)
    assert isinstance(arrived, type(error))
    assert arrived.args == error.args
    assert arrived.fate == "executed"
    assert arrived.message == str(error)
    again = pickle.loads(pickle.dumps(arrived))
    assert type(again) is type(arrived)
    assert (again.args, str(again)) == (arrived.args, str(arrived))


def test_what_its_constructor_fills_is_there() -> None:
    arrived: Any = cross(FileNotFoundError(2, "No such file", "/nowhere"))
    assert (arrived.errno, arrived.filename) == (2, "/nowhere")
    arrived = cross(SoldOut("tea"))
    assert arrived.article == "tea"


def test_a_constructor_that_refuses_the_arguments_does_not_hide_the_class() -> None:
    arrived = cross(NeedsMore(needed=3))
    assert isinstance(arrived, NeedsMore)
    assert isinstance(arrived, errors.RemoteExecutionError)


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), SystemExit(3), StopIteration(1), StopAsyncIteration(), ExceptionGroup("g", [ValueError()])],
)
def test_what_would_change_the_callers_control_flow_is_not_derived_from(error: BaseException) -> None:
    arrived = cross(error)
    assert type(arrived) is errors.RemoteExecutionError
    assert arrived.type_name == type(error).__name__


def test_a_class_that_is_not_loaded_is_named_and_never_imported() -> None:
    detail = {"module": "wsgiref.util", "type": "Unlikely", "message": "no", "traceback": "", "args": None}
    arrived = errors.from_wire(1, 0, "no", detail)
    assert type(arrived) is errors.RemoteExecutionError
    assert str(arrived) == "wsgiref.util.Unlikely: no"
    assert "wsgiref.util" not in sys.modules
    # A name that is there and is no exception: nothing of it is used.
    for module, name in [("os", "system"), ("builtins", "print"), ("builtins", "BaseException"), ("", "")]:
        detail = {"module": module, "type": name, "message": "no"}
        assert type(errors.from_wire(1, 0, "no", detail)) is errors.RemoteExecutionError


def test_a_failure_that_came_from_another_service_keeps_its_class() -> None:
    arrived = cross(cross(KeyError("far")))
    assert isinstance(arrived, KeyError)
    assert (arrived.args, arrived.message) == (("far",), "'far'")  # type: ignore[attr-defined]


def test_the_remote_traceback_is_shown_under_the_local_one() -> None:
    try:
        raise cross(ValueError("bad"))
    except ValueError as caught:
        shown = "".join(traceback.format_exception(caught))
    local, _, remote = shown.partition("Remote traceback (most recent call last):")
    assert local.rstrip().endswith("ironbridge.errors.RemoteExecutionError: ValueError: bad")
    assert "in cross" in remote
    assert remote.rstrip().endswith("ValueError: bad")


def test_the_remote_type_is_told_with_its_module_where_that_says_something() -> None:
    arrived = cross(SoldOut("tea"))
    assert arrived.type_name == f"{__name__}.SoldOut"  # type: ignore[attr-defined]
    assert str(arrived) == f"{__name__}.SoldOut: ('tea', 0)"


ENGINE = [
    (2, errors.ServiceNotFound),
    (3, errors.ServiceAlreadyExists),
    (4, errors.EndpointNotFound),
    (5, errors.DeadlineExceeded),
    (6, errors.ConnectionLost),
    (7, errors.ServiceUnavailable),
    (8, errors.Overloaded),
    (9, errors.CircuitOpen),
    (10, errors.AuthenticationError),
    (11, errors.ProtocolError),
    (12, errors.PayloadError),
    (13, errors.ConfigurationError),
    (14, errors.CallCancelled),
    (15, errors.InstanceEvicted),
]


@pytest.mark.parametrize(("code", "kind"), ENGINE)
def test_each_code_has_its_class(code: int, kind: type[errors.IronbridgeError]) -> None:
    error = errors.from_wire(code, 2, "what happened", None)
    assert type(error) is kind
    assert (error.code, error.fate, str(error)) == (code, "outcome unknown", "what happened")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.fate, str(again)) == (kind, "outcome unknown", "what happened")


def test_a_code_from_a_newer_peer_is_a_protocol_error() -> None:
    assert type(errors.from_wire(999, 9, "new", None)) is errors.ProtocolError


@pytest.mark.parametrize(("fate", "may_have_run"), [(0, True), (1, False), (2, True), (3, False)])
def test_the_fate_says_whether_to_try_again(fate: int, may_have_run: bool) -> None:
    error = errors.from_wire(6, fate, "gone", None)
    assert (error.may_have_run, error.retryable) == (may_have_run, not may_have_run)


def test_where_python_has_an_exception_ours_is_one_too() -> None:
    assert issubclass(errors.DeadlineExceeded, TimeoutError)
    assert issubclass(errors.ConnectionLost, ConnectionError)
    assert issubclass(errors.ServiceUnavailable, ConnectionError)
    assert issubclass(errors.EndpointNotFound, AttributeError)


def test_facts_are_attributes() -> None:
    error: Any = errors.from_wire(3, 1, "taken", {"service": "x", "pid": 7, "unknown": 1})
    assert (error.service, error.pid) == ("x", 7)
    assert errors.ServiceNotFound("x").service is None
    with pytest.raises(TypeError, match="no attribute 'colour'"):
        errors.ServiceNotFound("x", colour="red")
