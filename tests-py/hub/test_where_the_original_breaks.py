"""What users of the original run into, each by its name, and how it is here."""

from __future__ import annotations

import pytest
from harness import wait_until

from hub.actors import ORIGINAL, Endpoints, Failed, Start, StartHub, meet
from hub.raw import Raw, frame


def test_an_action_of_a_composed_object_sees_its_own_attributes(hub: StartHub, service: Start) -> None:
    hub()
    one, two = service("One", composed=True), service("Two")
    meet(two, one)
    two.request("one_mirror", 1)
    assert one.wait("one_mirror", data=1)["mine"] == "my own"


def test_the_hooks_of_a_composed_object_are_called(hub: StartHub, service: Start) -> None:
    hub()
    one = service("One", composed=True)
    assert one.wait("connect")["mine"] == "my own"
    two = service("Two")
    one.wait("new_service", service="Two")
    two.wait("connect")
    two.broadcast("heard?")
    one.wait("broadcast", service="Two", data="heard?")


def test_on_connect_fires_when_the_service_was_there_before_the_hub(hub: StartHub, service: Start) -> None:
    one = service("One", options={"hub": "never"})
    one.wait("up")
    hub()
    one.wait("connect")
    two = service("Two", options={"hub": "never"})
    meet(one, two)


def test_a_service_that_comes_later_is_told_of_those_who_are_there(hub: StartHub, service: Start) -> None:
    hub()
    early = [service(f"Early{number}") for number in range(3)] + [service("Original", library=ORIGINAL)]
    for one in early:
        one.wait("up")
    meet(early[0], early[3])
    late = service("Late")
    for one in early:
        assert f"{one.name.lower()}_mirror" in late.wait("new_service", service=one.name)["actions"]


def test_an_original_that_comes_later_is_told_of_those_who_are_there(hub: StartHub, service: Start) -> None:
    hub()
    early = [service("Early"), service("Original", library=ORIGINAL)]
    for one in early:
        one.wait("up")
    meet(*early)
    late = service("Late", library=ORIGINAL)
    for one in early:
        assert f"{one.name.lower()}_mirror" in late.wait("new_service", service=one.name)["actions"]


@pytest.mark.parametrize("kind", ["original", "pyzmq"])
def test_a_late_joiner_learns_of_ours_at_a_hub_that_remembers_nothing(hub: StartHub, service: Start, kind: str) -> None:
    hub(kind)
    early = [service("EarlyOne"), service("EarlyTwo")]
    for one in early:
        one.wait("connect")
    late = service("Late")
    for one in early:
        late.wait("new_service", service=one.name)
    late_original = service("LateOriginal", library=ORIGINAL)
    for one in early:
        one.wait("new_service", service="LateOriginal")
    assert late_original.returncode is None


@pytest.mark.parametrize(
    "text",
    ['<r>:{"s": "Ghost", "a": ["x"]}', "<b>:", "One:", "one_mirror:", '<hb>:{"s": "Ghost"}', "<ares>:", "\u003cr>:"],
)
def test_what_looks_like_a_head_inside_data_does_not_misroute(hub: StartHub, service: Start, text: str) -> None:
    hub()
    one, two = service("One"), service("Two")
    meet(one, two)
    two.broadcast(text)
    one.wait("broadcast", data=text)
    two.request("one_mirror", {text: text})
    one.wait("one_mirror", data={text: text})
    two.respond("One", text)
    one.wait("response", service="Two", data=text)
    assert one.call("two_mirror", text) == text
    assert not one.events("new_service", service="Ghost")
    assert len(one.events("broadcast")) == 1
    assert len(one.events("one_mirror")) == 1


def test_a_name_inside_another_name_gets_nothing_of_the_others(hub: StartHub, service: Start) -> None:
    hub()
    db, my_db, dbx = (service(name, prefix=f"{name}_") for name in ("Db", "MyDb", "Dbx"))
    asker = service("Asker")
    for one in (db, my_db, dbx, asker):
        one.wait("connect")
    for one in (my_db, dbx, db):
        asker.respond(one.name, one.name)
        one.wait("response", data=one.name)
        asker.request(f"{one.name}_mirror", one.name)
        one.wait(f"{one.name}_mirror", data=one.name)
    for one in (db, my_db, dbx):
        assert len(one.events("response")) == 1
        assert len(one.events(f"{one.name}_mirror")) == 1


def test_an_action_with_a_colon_in_its_name_is_found(hub: StartHub, service: Start) -> None:
    hub()
    one = service("One", actions=["rooms:list", "rooms", "rooms:list:all"])
    two = service("Two")
    meet(two, one)
    for name in ("rooms", "rooms:list", "rooms:list:all"):
        assert two.call(name, name) == name
    assert set(one.do("names")) >= {"rooms", "rooms:list", "rooms:list:all"}


@pytest.mark.parametrize("name", ["<r>", "<x", "", "a\nb"])
def test_a_name_that_would_be_taken_for_the_hubs_own_is_refused(at: Endpoints, service: Start, name: str) -> None:
    one = service("One", actions=[name])
    assert one.wait_exit() != 0
    one.wait_line("ConfigurationError")


def test_an_exception_in_an_action_is_logged_with_its_traceback_and_told_to_a_hook(
    hub: StartHub, service: Start
) -> None:
    hub()
    one, two = service("One"), service("Two")
    meet(two, one)
    two.request("one_fail", "this went wrong")
    told = one.wait("error", kind="ValueError", text="this went wrong")
    assert "one_fail" in told["where"]
    one.wait_line("Traceback")
    one.wait_line(r"raise ValueError\(data\)")
    one.wait_line("ValueError: this went wrong")
    two.request("one_mirror", "goes on")
    one.wait("one_mirror", data="goes on")


def test_an_answer_that_cannot_be_written_is_an_error_at_the_caller_and_not_a_silence(
    hub: StartHub, service: Start
) -> None:
    hub()
    one, two = service("One"), service("Two")
    meet(two, one)
    with pytest.raises(Failed) as failed:
        two.call("one_impossible", 1, timeout=10)
    assert "DeadlineExceeded" not in failed.value.kinds
    one.wait("error")


def test_a_service_receives_only_what_it_subscribed_to(hub: StartHub, service: Start, raw: Raw) -> None:
    place = hub()
    one = service("One")
    one.wait("connect")
    before = place.stats()["messages_out"]
    for number in range(100):
        raw.send(frame("noise", s="raw", d=number))
    raw.wait_head("noise", d=99)
    raw.send(frame("One", s="raw", d="after"))
    one.wait("response", data="after")
    # The bare socket has asked for everything; the service was not even sent what it did not ask for.
    assert place.stats()["messages_out"] - before < 150
    assert one.do("stats")["received"] < 50


def test_two_processes_of_one_class_share_its_name_and_are_told_apart(hub: StartHub, service: Start) -> None:
    hub()
    twins = [service("Twin"), service("Twin")]
    other = service("Other")
    for one in (*twins, other):
        one.wait("connect")
    wait_until(lambda: len(other.do("services")) >= 2, what="both twins are known")
    instances = {one["instance"] for one in other.do("services") if one["name"] == "Twin"}
    assert len(instances) == 2
    other.broadcast("to both")
    other.request("twin_mirror", "to both")
    other.respond("Twin", "to both")
    for twin in twins:
        for kind in ("broadcast", "twin_mirror", "response"):
            twin.wait(kind, data="to both")
    answers = other.do("call_all", "twin_mirror", 5, timeout=2.0)
    assert answers == [["Twin", 5], ["Twin", 5]]
    twins[0].kill()
    assert other.wait("lost", service="Twin")["instance"] in instances
    assert other.call("twin_mirror", "still") == "still"
