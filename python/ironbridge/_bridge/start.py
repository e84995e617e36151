"""`run()` in the program: attach to the daemon that lives, or start one."""

from __future__ import annotations

import os
import sys
import time

from .. import _engine
from ..errors import ServiceAlreadyExists
from . import handle as handles
from . import launch, origin, version
from .handle import DaemonHandle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._engine import _Lease as Lease
    from .registration import Registration


def run(registration: Registration, startup_timeout: float, detach: bool) -> DaemonHandle:
    """A handle of the service's daemon, which serves when this returns. Errors: see `registration.run`."""
    registration.endpoints()
    name, identity = registration.name, origin.identity(registration)
    deadline = time.monotonic() + startup_timeout
    while True:
        lease = _live(name)
        if lease is not None:
            _check(lease, registration, identity)
            attached = _attach(lease)
            if attached is not None:
                return attached
            continue
        try:
            return _start(registration, identity, deadline, startup_timeout, detach)
        except ServiceAlreadyExists:
            # Another program was quicker. If it runs the same class, its daemon is ours too.
            if time.monotonic() >= deadline:
                raise


def elsewhere(name: str) -> DaemonHandle:
    """In a daemon that is importing: a handle of another service, which is the parent's to start."""
    for lease in _engine.leases(name):
        attached = _attach(lease)
        if attached is not None:
            return attached
    return DaemonHandle(name, 0, -1)


def _live(name: str) -> Lease | None:
    """The lease of a daemon that answers. One that is draining has given the name up."""
    for lease in _engine.leases(name):
        # A lock may outlive its daemon, in a process that inherited it: only an answer says that it lives.
        if lease["state"] == "serving" and _engine.daemon_answers(name, lease["nonce"]):
            return lease
    return None


def _check(lease: Lease, registration: Registration, identity: str) -> None:
    """Whether the live daemon runs what this program has.

    Raises:
        ServiceAlreadyExists: it serves another class, or another version of this one.
    """
    name, pid = lease["service"], lease["supervisor"] or lease["pid"]
    if lease["identity"] != identity:
        what = (
            f"service {name!r} is another class's: process {pid} serves {lease['identity']} under that name, "
            f"this program has {identity}; choose another name or stop that one"
        )
    elif version.differ(lease["version"], version.of(registration.owner, registration.functions)):
        what = (
            f"service {name!r} runs another version of {identity}: the code that process {pid} has differs from "
            f"this program's; to run this one, stop that one first: `ironbridge stop {name}`, or SIGTERM to {pid}"
        )
    else:
        return
    raise ServiceAlreadyExists(what, service=name, pid=pid)


def _attach(lease: Lease) -> DaemonHandle | None:
    """A handle of the daemon that holds this lease; None when it has just ended."""
    name, pid = lease["service"], lease["supervisor"] or lease["pid"]
    mine = handles.running(name)
    if mine is not None and mine.pid == pid:
        return mine
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    # The number was this daemon's if its lease is held still, now that the descriptor is.
    if any(held["nonce"] == lease["nonce"] for held in _engine.leases(name)):
        return DaemonHandle(name, pid, pidfd)
    os.close(pidfd)
    return None


def _start(registration: Registration, identity: str, deadline: float, allowed: float, detach: bool) -> DaemonHandle:
    options = dict(registration.options)
    workers = options.pop("workers", 1)
    options["threads"] = _threads(options.get("threads"))
    options["detached"] = detach
    compat = sys.modules.get("ironbridge.compat")
    job = {
        "service": registration.name,
        "identity": identity,
        "options": options,
        "workers": workers,
        "allowed": allowed,
        "compat": compat is not None and bool(compat.installed()),
    }
    role = "supervisor" if detach or workers > 1 else "daemon"
    found = origin.by_name(registration)
    if found is not None:
        process = launch.spawn({**job, "found": found}, role, detach=detach)
        try:
            ready = launch.await_ready(process, registration.name, deadline, allowed)
        except launch.Missing:
            found = None  # made under a condition that does not hold in the daemon
    if found is None:
        process = launch.spawn({**job, "found": origin.by_value(registration)}, role, detach=detach)
        ready = launch.await_ready(process, registration.name, deadline, allowed)
    _tell(registration, ready)
    return DaemonHandle(
        registration.name,
        process.pid,
        process.pidfd,
        process=process,
        detached=detach,
        supervised=role == "supervisor",
    )


def _threads(wanted: int | None) -> int:
    """Threads for endpoints: what the code says, else `META_WORKERS`, else by the number of cores.

    Raises:
        ConfigurationError: `META_WORKERS` is no number of 1 or more.
    """
    if wanted is not None:
        return wanted
    said = os.environ.get("META_WORKERS")
    if said is None or not said.strip():
        return min(32, max(4, 2 * len(os.sched_getaffinity(0))))
    if not said.strip().isdecimal() or not 1 <= int(said) <= 1024:
        from ..errors import ConfigurationError

        raise ConfigurationError(f"META_WORKERS={said!r} is not a whole number from 1 to 1024")
    return int(said)


def _tell(registration: Registration, ready: dict[str, Any]) -> None:
    """Says once how to reach a service from elsewhere, when its token was made here."""
    if not ready.get("tcp") or not ready.get("token") or registration.options.get("token"):
        return
    host, _, port = ready["tcp"].rpartition(":")
    if host.strip("[]") in ("0.0.0.0", "::", ""):
        host = os.uname().nodename
    scheme = "tls" if registration.options.get("tls_cert") else "tcp"
    sys.stderr.write(f'connect("{scheme}://{host}:{port}/{registration.name}", token="{ready["token"]}")\n')
    sys.stderr.flush()
