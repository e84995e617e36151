"""Ours and the originals at one hub: each kind of service with each, at each kind of hub, over each transport."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from harness import wait_until

from hub.actors import ORIGINAL, OURS, Endpoints, Failed, Hub, Kind, Library, Service, meet
from hub.conftest import endpoints
from hub.raw import Raw, frame


@dataclass
class Met:
    """Two services that hear each other at one hub."""

    hub: Hub
    first: Service
    second: Service
    at: Endpoints
    stack: ExitStack


HUBS: list[Kind] = ["ours", "original", "pyzmq"]
PAIRS: list[tuple[Library, Library]] = [(OURS, OURS), (OURS, ORIGINAL), (ORIGINAL, OURS), (ORIGINAL, ORIGINAL)]


@pytest.fixture(scope="module", params=["ipc", "tcp"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=HUBS, ids=lambda kind: f"hub_{kind}")
def met(
    request: pytest.FixtureRequest,
    transport: str,
    pair: tuple[Library, Library],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Met]:
    at = endpoints(transport, tmp_path_factory.mktemp("hub"))
    with ExitStack() as stack:
        hub = stack.enter_context(Hub(request.param, at))
        options = {"options": {"hub": "never"}}
        first = stack.enter_context(Service(pair[0], "One", at, **(options if pair[0] == OURS else {})))
        first.wait("up")
        second = stack.enter_context(Service(pair[1], "Two", at, composed=False))
        meet(first, second)
        meet(second, first)
        yield Met(hub, first, second, at, stack)


@pytest.fixture(
    scope="module", params=PAIRS, ids=lambda pair: "-".join("ours" if one == OURS else "original" for one in pair)
)
def pair(request: pytest.FixtureRequest) -> tuple[Library, Library]:
    found: tuple[Library, Library] = request.param
    return found


def known(service: Service, kind: str = "new_service") -> set[str]:
    return {event["service"] for event in service.events(kind)}


def test_a_registration_is_seen_by_those_who_are_there(met: Met) -> None:
    first, second = met.first, met.second
    if (first.is_ours and second.is_ours) or met.hub.kind == "ours":
        # Nothing is lost among ours, and our hub tells what it remembers.
        first.wait("new_service", service="Two")
        second.wait("new_service", service="One")
    with Service(ORIGINAL if not second.is_ours else OURS, "Late", met.at) as late:
        late.wait("up")
        meet(late, first)
        seen = first.wait("new_service", service="Late")
        assert "late_mirror" in seen["actions"]
        second.wait("new_service", service="Late")


def test_a_service_learns_that_it_is_at_its_hub(met: Met) -> None:
    for service in (met.first, met.second):
        if service.is_ours:
            service.wait("connect")


@pytest.mark.parametrize(
    "data",
    [None, 0, -1.5, "", "olá <r>: \u2028 \U0001f680", [1, [2, {}]], {"a": {"b": None}}, True, 2**53, "<b>:", ":"],
    ids=repr,
)
def test_a_broadcast_arrives_as_it_was_sent(met: Met, data: object) -> None:
    for sender, other in ((met.first, met.second), (met.second, met.first)):
        mark = f"{data!r}-{sender.name}"
        sender.broadcast({"mark": mark, "data": data})
        assert other.wait("broadcast", service=sender.name, data={"mark": mark, "data": data})


def test_a_broadcast_does_not_come_back_to_its_sender(met: Met) -> None:
    for sender, other in ((met.first, met.second), (met.second, met.first)):
        sender.broadcast("out")
        other.wait("broadcast", service=sender.name, data="out")
        other.respond(sender.name, "after it")
        sender.wait("response", data="after it")
        assert not sender.events("broadcast", service=sender.name)


def test_a_request_runs_the_action_with_the_sender_and_the_data(met: Met) -> None:
    for sender, other in ((met.first, met.second), (met.second, met.first)):
        sender.request(f"{other.name.lower()}_mirror", {"from": sender.name})
        other.wait(f"{other.name.lower()}_mirror", service=sender.name, data={"from": sender.name})


def test_a_response_reaches_the_service_of_that_name(met: Met) -> None:
    for sender, other in ((met.first, met.second), (met.second, met.first)):
        sender.respond(other.name, [sender.name, 1])
        other.wait("response", service=sender.name, data=[sender.name, 1])


def test_an_action_answers_by_a_response(met: Met) -> None:
    for sender, other in ((met.first, met.second), (met.second, met.first)):
        sender.request(f"{other.name.lower()}_reply", f"please, {sender.name}")
        sender.wait("response", service=other.name, data=f"please, {sender.name}")


def test_an_answer_can_be_awaited(met: Met) -> None:
    for sender, other in ((met.first, met.second), (met.second, met.first)):
        assert sender.call(f"{other.name.lower()}_mirror", {"n": [1, "é"]}) == {"n": [1, "é"]}


def test_what_an_action_raises_reaches_who_awaits_it(met: Met) -> None:
    for sender, other in ((met.first, met.second), (met.second, met.first)):
        with pytest.raises(Failed) as failed:
            sender.call(f"{other.name.lower()}_fail", "not this")
        assert "ValueError" in failed.value.kinds
        assert "not this" in failed.value.text


def test_the_wire_is_the_originals(met: Met) -> None:
    with Raw(met.at) as raw:
        raw.connect()
        met.first.broadcast({"on": "the wire"})
        assert raw.wait_head("<b>", s="One")["d"] == {"on": "the wire"}
        met.first.request("nobody_has_this", [1])
        assert raw.wait_head("nobody_has_this", s="One")["d"] == [1]
        met.first.respond("Nobody", "x")
        assert raw.wait_head("Nobody", s="One")["d"] == "x"
        raw.send(frame("<r>", s="Forged", a=["forged_action"]))
        assert met.first.wait("new_service", service="Forged")["actions"] == ["forged_action"]
        raw.send(frame("<b>", s="Forged", d={"raw": True}))
        met.first.wait("broadcast", service="Forged", data={"raw": True})
        raw.send(frame("one_mirror", s="Forged", d=5))
        met.first.wait("one_mirror", service="Forged", data=5)
        raw.send(frame("One", s="Forged", d=6))
        met.first.wait("response", service="Forged", data=6)


def test_an_originals_request_is_answered_on_the_wire_as_it_expects(met: Met) -> None:
    with Raw(met.at) as raw:
        raw.send(frame("one_mirror", s="Forged", d=7, areq={"i": "5" * 32, "timeout": 5}))
        body = raw.wait(lambda message: message.startswith(b"<ares>:") and b"5" * 32 in message)
        assert b'"error": {}' in body or b'"error":{}' in body
        assert raw.wait_head("<ares>", s="One", d=7)


def test_originals_take_what_ours_send_without_a_complaint(met: Met) -> None:
    originals = [service for service in (met.first, met.second) if not service.is_ours]
    # One of ours that comes, calls, is asked who is there, and goes: all that ours say beside the original's words.
    with Service(OURS, "Passing", met.at) as passing:
        passing.wait("connect")
        meet(passing, met.first)
        passing.call("one_mirror", 1)
        passing.do("call_all", "two_mirror", 1, timeout=1.0)
        passing.stop()
    met.second.respond("One", "last")
    met.first.wait("response", data="last")
    for original in originals:
        assert "Fail to decode" not in original.output
        assert original.returncode is None


def test_a_serializer_of_ones_own_is_understood_by_its_like(met: Met) -> None:
    first = Service(met.first.library, "SecretOne", met.at, serializer="armoured")
    second = Service(met.second.library, "SecretTwo", met.at, serializer="armoured")
    with first, second:
        first.wait("up")
        second.wait("up")
        meet(first, second)
        first.broadcast({"armoured": ["é", None]})
        second.wait("broadcast", service="SecretOne", data={"armoured": ["é", None]})
        assert second.call("secretone_mirror", {"k": 1}) == {"k": 1}
        assert first.call("secrettwo_mirror", [2]) == [2]
    wait_until(lambda: met.hub.returncode is None)
