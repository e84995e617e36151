"""Calls between ours and the originals, each way: arguments, results, what is not there, many at once."""

from __future__ import annotations

import math
from typing import Any

import pytest
from harness import RabbitMQ

from fabric.actors import ORIGINAL, OURS, PATTERN, Failed, Library, Service
from fabric.meeting import Pair, meeting

VALUES: list[Any] = [
    None,
    True,
    0,
    -1.5,
    1e300,
    0.1,
    2**53 + 1,
    10**40,
    "",
    'olá \u2028 \U0001f680 \x00 "',
    [],
    [1, [2, {}], None],
    {},
    {"a": {"é": None}, "": [False]},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize("method", ["echo", "aecho"])
def test_a_value_comes_back_as_it_was_sent(pair: Pair, method: str, value: Any) -> None:
    got = pair.call(method, value=value)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinities_cross(pair: Pair, value: float) -> None:
    assert pair.call("echo", value=value) == value


def test_nan_crosses(pair: Pair) -> None:
    assert math.isnan(pair.call("echo", value=math.nan))


@pytest.mark.parametrize("length", [1_000, 200_000])
def test_large_values_cross(pair: Pair, length: int) -> None:
    value = "é" * length
    assert pair.call("echo", value=value) == value


def test_a_tuple_arrives_as_a_list(pair: Pair) -> None:
    assert pair.call("give", text="(1, (2,))") == [1, [2]]


def test_arguments_are_named_and_have_defaults(pair: Pair) -> None:
    assert pair.call("multiply", x=5, y=7) == 35
    assert pair.call("multiply", y=7, x="ab") == "ab" * 7
    assert pair.call("multiply", x=5) == 10
    assert pair.call("add", x=5, y=7) == 12
    assert pair.call("add", x=5) == 15
    assert pair.call("echo") is None


def test_every_service_has_its_health_check(pair: Pair) -> None:
    assert pair.call("health_check") is True


@pytest.mark.parametrize("given", [{"x": 1, "z": 2}, {"y": 1}, {}], ids=repr)
@pytest.mark.parametrize("method", ["multiply", "add"])
def test_arguments_that_do_not_fit_are_a_type_error(pair: Pair, method: str, given: dict[str, int]) -> None:
    with pytest.raises(Failed) as failed:
        pair.call(method, **given)
    told = failed.value.facts.get("error", "") + failed.value.text + failed.value.given
    assert f"{method}()" in told
    assert "TypeError" in (failed.value.kinds if pair.caller.library != PATTERN else told)


def test_a_method_that_is_not_there_is_told_at_once(pair: Pair) -> None:
    with pytest.raises(Failed) as failed:
        pair.call("nothing_of_the_kind", x=1)
    expected = {
        OURS: "ironbridge.errors.EndpointNotFound",
        ORIGINAL: "aio_pika.exceptions.MessageProcessError",
        PATTERN: "aio_pika.exceptions.MessageProcessError",
    }
    assert failed.value.kinds[0] == expected[pair.caller.library]
    if pair.caller.is_ours:
        assert failed.value.facts["fate"] == "'rejected'"
    # The caller is as good as before.
    assert pair.call("multiply", x=2, y=3) == 6


def test_a_call_that_nobody_serves_is_told_at_once(pair: Pair) -> None:
    with pytest.raises(Failed) as failed:
        pair.caller.do("call", ("shop", "absent", "till"), "multiply", {"x": 1})
    ours = "ironbridge.errors.ServiceUnavailable"
    assert failed.value.kinds[0] == (ours if pair.caller.is_ours else "aio_pika.exceptions.MessageProcessError")


def test_many_calls_at_once_are_answered_each_by_its_own(pair: Pair) -> None:
    for method in ("echo", "aecho"):
        given = [{"value": number} for number in range(100)]
        assert pair.caller.do("calls", pair.server.address, method, given) == list(range(100))


def test_different_methods_run_beside_each_other(pair: Pair) -> None:
    held = pair.caller.begin_call(pair.server, "hold")
    pair.server.wait("holding")
    assert pair.call("add", x=1, y=2) == 3
    assert pair.call("multiply", x=2, y=3) == 6
    pair.server.do("release")
    assert pair.caller.result(held) == "server held"


def test_callers_of_different_make_get_each_their_own_answer(vhost: str) -> None:
    with (
        meeting(OURS, OURS, vhost) as pair,
        Service(ORIGINAL, vhost, "original") as original,
        Service(PATTERN, vhost, "pattern") as pattern,
    ):
        callers = [pair.caller, original, pattern]
        for caller in callers:
            caller.wait("up")
        begun = [caller.begin_call(pair.server, "aecho", value=f"of {caller.name}") for caller in callers]
        answers = [one.result(number) for one, number in zip(callers, begun, strict=True)]
        assert answers == ["of caller", "of original", "of pattern"]


# Who dies, who goes on, and who calls.
CLIQUES: list[tuple[Library, Library, Library]] = [
    (OURS, ORIGINAL, PATTERN),
    (ORIGINAL, OURS, OURS),
    (PATTERN, OURS, ORIGINAL),
]


@pytest.mark.parametrize("clique", CLIQUES, ids="-".join)
def test_in_a_clique_the_next_one_answers_for_one_that_dies(
    vhost: str, vhost_name: str, rabbitmq: RabbitMQ, clique: tuple[Library, Library, Library]
) -> None:
    first, second, caller = clique
    with meeting(first, caller, vhost) as pair:
        held = pair.caller.begin_call(pair.server, "hold")
        pair.server.wait("holding")
        with Service(second, vhost, "next", service_id="server", serve=True) as other:
            other.wait("up")
            assert {pair.call("who") for _ in range(20)} == {"server", "next"}
            pair.server.kill()
            other.wait("holding")
            other.do("release")
            assert pair.caller.result(held) == "next held"
            assert {pair.call("who") for _ in range(5)} == {"next"}
            assert other.returncode is None
            assert rabbitmq.queues(vhost_name)[f"{pair.server.exchange}::who"]["consumers"] == 1
