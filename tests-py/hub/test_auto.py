"""`hub="auto"`: with nothing else started, the first service is the hub; when its process goes, another takes over."""

from __future__ import annotations

import os
import socket
import stat
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness import free_port, wait_until

from hub.actors import ORIGINAL, Endpoints, Service, Start, StartHub, meet

pytestmark = pytest.mark.timeout(90)


def hosts(services: list[Service]) -> list[Service]:
    """Those whose process listens where the hub is."""
    found = []
    for one in services:
        listening = any(
            f"socket:[{inode}]" in {os.readlink(link) for link in links(one.pid)} for inode in listeners(one.at)
        )
        if listening:
            found.append(one)
    return found


def links(pid: int) -> list[str]:
    return [f"/proc/{pid}/fd/{number}" for number in os.listdir(f"/proc/{pid}/fd") if exists(pid, number)]


def exists(pid: int, number: str) -> bool:
    return os.path.islink(f"/proc/{pid}/fd/{number}")


def listeners(at: Endpoints) -> set[str]:
    """The inodes of sockets that listen at the sender's endpoint."""
    kind, _, place = at.sender.partition("://")
    found = set()
    if kind == "ipc":
        for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
            fields = line.split()
            if len(fields) >= 8 and fields[7] == place and fields[3] == "00010000":
                found.add(fields[6])
    else:
        port = int(place.rpartition(":")[2])
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == "0A":
                found.add(fields[9])
    return found


def test_one_service_alone_is_its_own_hub(service: Start) -> None:
    one = service("One")
    one.wait("connect")
    one.request("one_reply", "to myself")
    one.wait("response", data="to myself")


@pytest.mark.parametrize("turn", range(3))
def test_two_that_start_at_once_make_one_hub(service: Start, turn: int) -> None:
    services = [service("One"), service("Two"), service("Three")]
    for one in services:
        one.wait("connect")
    meet(services[0], services[1])
    meet(services[1], services[2])
    meet(services[2], services[0])
    assert len(hosts(services)) == 1


def test_when_the_host_is_killed_another_takes_over_within_a_second(service: Start) -> None:
    services = [service(name) for name in ("One", "Two", "Three")]
    for one in services:
        one.wait("connect")
    meet(services[0], services[1])
    for _ in range(2):
        (host,) = hosts(services)
        left = [one for one in services if one is not host]
        seen = {one.name: len(one.events("connect")) for one in left}
        host.kill()
        killed = time.monotonic()
        for one in left:
            one.wait("connect", 5.0, count=seen[one.name] + 1)
        assert time.monotonic() - killed < 1.0
        assert len(hosts(left)) == 1
        services = left
    assert services[0].call(f"{services[0].name.lower()}_mirror", 1) == 1


def test_when_the_host_leaves_another_takes_over_and_nothing_is_lost(service: Start) -> None:
    services = [service(name) for name in ("One", "Two", "Three")]
    for one in services:
        one.wait("connect")
    (host,) = hosts(services)
    left = [one for one in services if one is not host]
    meet(left[0], left[1])
    host.stop()
    for one in left:
        one.wait("connect", 5.0, count=2)
    meet(left[0], left[1])
    left[0].wait("lost", service=host.name)


def test_a_host_that_stands_still_holds_nobody_for_ever(service: Start) -> None:
    """A frozen host still listens; who is served by it waits with a deadline, and goes on when it thaws."""
    services = [service(name) for name in ("One", "Two")]
    for one in services:
        one.wait("connect")
    (host,) = hosts(services)
    (other,) = (one for one in services if one is not host)
    meet(other, host)
    host.freeze()
    done = other.begin("call", f"{host.name.lower()}_mirror", 1, timeout=1.0)
    assert "DeadlineExceeded" in other.wait("done", 5.0, number=done)["failed"]
    host.thaw()
    meet(other, host)


def test_a_stale_socket_file_is_reclaimed(at: Endpoints, service: Start) -> None:
    for endpoint in (at.sender, at.receiver):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(endpoint.removeprefix("ipc://"))
    one, two = service("One"), service("Two")
    meet(one, two)


def test_a_file_that_is_no_socket_is_left_alone(at: Endpoints, service: Start) -> None:
    path = Path(at.sender.removeprefix("ipc://"))
    path.write_text("precious")
    one = service("One")
    one.wait("ended")
    assert path.read_text() == "precious"
    one.wait_line("ConfigurationError")


def test_a_hub_that_is_there_is_used(hub: StartHub, service: Start) -> None:
    hub("pyzmq")
    services = [service("One"), service("Two"), service("Three", library=ORIGINAL)]
    services[0].wait("connect")
    meet(services[0], services[1])
    meet(services[1], services[2])
    assert hosts(services) == []


def test_when_a_foreign_hub_dies_one_of_ours_takes_over_and_originals_follow(hub: StartHub, service: Start) -> None:
    foreign = hub("original")
    services = [service("One"), service("Two")]
    original = service("Three", library=ORIGINAL)
    for one in services:
        meet(one, original)
    foreign.kill()
    for one in services:
        one.wait("connect", 5.0, count=2)
    meet(services[0], services[1])
    meet(services[0], original)
    assert len(hosts(services)) == 1


def test_the_socket_files_are_the_users_own(at: Endpoints, service: Start) -> None:
    one = service("One")
    one.wait("connect")
    for endpoint in (at.sender, at.receiver):
        path = Path(endpoint.removeprefix("ipc://"))
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert path.stat().st_uid == os.getuid()
        assert not path.stat().st_mode & 0o002


def test_over_tcp_on_this_machine_the_documents_addresses_included(started: ExitStack, service: Start) -> None:
    ports = free_port(), free_port()
    everywhere = Endpoints(f"tcp://0.0.0.0:{ports[0]}", f"tcp://0.0.0.0:{ports[1]}")
    one, two = service("One", at=everywhere), service("Two", at=everywhere)
    meet(one, two)
    assert len(hosts([one, two])) == 1
    wait_until(lambda: any("secret" in line for line in one.stderr + two.stderr), what="a warning of the open ports")


def test_never_only_looks_for_a_hub(at: Endpoints, service: Start, hub: StartHub) -> None:
    one = service("One", options={"hub": "never"})
    one.wait("up")
    one.do("counts")
    assert not at.listened()
    hub()
    one.wait("connect")
