"""The daemons of this user on this machine, as the commands see them."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Mapping
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
    statistics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def uptime(self) -> float:
        """Seconds."""
        return time.time() - self.started

    @property
    def connections(self) -> int | None:
        return self.statistics.get("connections")

    @property
    def calls(self) -> int | None:
        return self.statistics.get("calls")

    def stop(self, *, grace: float, force: bool) -> bool:
        """Asks the process to drain (SIGTERM), and waits `grace` seconds for its end; whether it has ended.

        With `force` it is killed when it has not. The process is held by a descriptor before its lease is looked at
        again, so no signal can reach another process that was given the same number.
        """
        try:
            held = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if not any(lease["nonce"] == self.nonce for lease in _engine.leases(self.service)):
                return True
            signal.pidfd_send_signal(held, signal.SIGTERM)
            if _ended(held, grace):
                return True
            if force:
                signal.pidfd_send_signal(held, signal.SIGKILL)
                return _ended(held, grace)
            return False
        finally:
            os.close(held)


def daemons(service: str | None = None) -> list[Daemon]:
    """The live daemons, of one service or of all, each asked for its statistics; by name and worker."""
    return sorted(map(_asked, _engine.leases(service)), key=lambda daemon: (daemon.service, daemon.worker))


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
        statistics=statistics,
    )


def _ended(held: int, within: float) -> bool:
    """Waits until the process behind a descriptor has ended."""
    poll = select.poll()
    poll.register(held, select.POLLIN)
    return bool(poll.poll(within * 1000))
