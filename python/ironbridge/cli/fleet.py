"""The daemons of this user on this machine, as the commands see them."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from ironbridge import _engine
from ironbridge.errors import IronbridgeError

ANSWER_WITHIN = 1.0
"""Seconds a daemon has to answer before it counts as silent."""


@dataclass(frozen=True)
class Daemon:
    """One daemon process: what its lease says, and what it answered."""

    service: str
    nonce: str
    """What its lease is known by; no two daemons have the same."""
    pid: int
    worker: int
    """Its number among the processes behind the name, from 0."""
    workers: int
    started: float
    """Seconds since the epoch."""
    state: str
    """`serving`, `draining`, or `silent` when it did not answer in time."""
    socket: str
    tcp: str | None
    detached: bool
    supervisor: int | None
    """The process that starts this one again when it ends; None when nobody does."""
    statistics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def uptime(self) -> float:
        """Seconds."""
        return time.time() - self.started

    @property
    def connections(self) -> int | None:
        """Open now, the one that asks among them left out; None when the daemon is silent."""
        counts = self.statistics.get("connections")
        return max(0, counts["open"] - 1) if counts else None

    @property
    def calls(self) -> int | None:
        """Begun so far; None when the daemon is silent."""
        return self.statistics.get("calls")


@dataclass
class Stopped:
    """What became of a service's processes."""

    ended: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)


def daemons(service: str | None = None) -> list[Daemon]:
    """The live daemons, of one service or of all, each asked for its statistics; by name and worker."""
    return sorted(map(_asked, _engine.leases(service)), key=lambda daemon: (daemon.service, daemon.worker))


def stop(service: str, *, grace: float, force: bool) -> Stopped:
    """Asks a service's processes to drain (SIGTERM), and waits `grace` seconds for their end.

    With `force` they are killed when they have not ended. Each process is held by a descriptor before the leases are
    read again, so no signal can reach another process that was given the same number.
    """
    with ExitStack() as stack:
        held = {pid: _held(pid, stack) for lease in _engine.leases(service) for pid in _processes(lease)}
        leases = _engine.leases(service)
        named = {pid for lease in leases for pid in _processes(lease)} & held.keys()
        told = {lease["supervisor"] or lease["pid"] for lease in leases} & held.keys()
        for pid in told:
            _signal(held[pid], signal.SIGTERM)
        end = time.monotonic() + grace
        left = [pid for pid in sorted(named) if not _ended(held[pid], end - time.monotonic())]
        if force:
            for pid in sorted(left, key=lambda pid: pid not in told):  # a supervisor first, so that it starts no more
                _signal(held[pid], signal.SIGKILL)
            left = [pid for pid in left if not _ended(held[pid], 5.0)]
        return Stopped([pid for pid in sorted(named) if pid not in left], left)


def names() -> list[str]:
    """The services that run, for completion."""
    return sorted({lease["service"] for lease in _engine.leases()})


def _asked(lease: Mapping[str, Any]) -> Daemon:
    state, statistics = lease["state"], {}
    try:
        statistics = json.loads(_engine.daemon_statistics(lease["service"], lease["nonce"], ANSWER_WITHIN))
    except IronbridgeError:
        state = "silent"
    return Daemon(
        service=lease["service"],
        nonce=lease["nonce"],
        pid=lease["pid"],
        worker=lease["worker"],
        workers=lease["workers"],
        started=lease["started_unix_ms"] / 1000,
        state=state,
        socket=lease["socket"],
        tcp=lease["tcp"],
        detached=lease["detached"],
        supervisor=lease["supervisor"],
        statistics=statistics,
    )


def _processes(lease: Mapping[str, Any]) -> set[int]:
    """A daemon's own process, and the one that supervises it."""
    return {lease["pid"], lease["supervisor"] or lease["pid"]}


def _held(pid: int, stack: ExitStack) -> int:
    """A descriptor of the process, closed with the stack; -1 when it has ended already."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return -1
    stack.callback(os.close, descriptor)
    return descriptor


def _signal(held: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        if held >= 0:
            signal.pidfd_send_signal(held, number)


def _ended(held: int, within: float) -> bool:
    """Waits until the process behind a descriptor has ended."""
    if held < 0:
        return True
    poll = select.poll()
    poll.register(held, select.POLLIN)
    return bool(poll.poll(max(0.0, within) * 1000))
