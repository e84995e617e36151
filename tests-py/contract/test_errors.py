"""A failure arrives as what it was, and the connection goes on."""

from __future__ import annotations

import builtins

import ironbridge.bridge as meta
import pytest

from contract.callers import Caller

BOTH = pytest.mark.parametrize("fail", ["fail", "fail_async"])


@BOTH
def test_a_remote_value_error_is_a_value_error_with_its_arguments(caller: Caller, fail: str) -> None:
    with pytest.raises(ValueError, match="not this") as caught:
        caller.call(fail, "value")
    error: builtins.BaseException = caught.value
    assert isinstance(error, meta.RemoteExecutionError)
    assert error.args == ("not this", 7)
    assert (error.type_name, error.fate) == ("ValueError", "executed")
    assert "in fail" in error.remote_traceback and "service.py" in error.remote_traceback


@BOTH
def test_an_exception_of_a_class_unknown_here_keeps_its_name(caller: Caller, fail: str) -> None:
    with pytest.raises(meta.RemoteExecutionError) as caught:
        caller.call(fail, "own")
    assert caught.value.type_name.endswith("Unheard")
    assert caught.value.message == "of"


def test_a_name_that_is_no_endpoint_is_told_the_likely_one(caller: Caller) -> None:
    with pytest.raises(meta.EndpointNotFound, match="echo") as caught:
        caller.call("ecko", 1)
    assert not caught.value.may_have_run


def test_wrong_arguments_are_a_type_error(caller: Caller) -> None:
    with pytest.raises(TypeError, match="missing"):
        caller.call("shape")


def test_what_cannot_cross_is_refused_with_its_path(caller: Caller) -> None:
    with pytest.raises(meta.PayloadError, match=r"args\[0\]\['x'\]\[1\]"):
        caller.call("echo", {"x": [1, object()]})


def test_the_connection_survives_every_kind_of_failure(caller: Caller) -> None:
    for name, argument in [("fail", "value"), ("fail_async", "own"), ("nothing", 1), ("echo", object())]:
        with pytest.raises(Exception):  # noqa: B017
            caller.call(name, argument)
        assert caller.call("echo", name) == name
