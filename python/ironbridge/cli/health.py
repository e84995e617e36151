"""What `ironbridge doctor` looks at: each check is a function that yields findings and changes nothing."""

from __future__ import annotations

import fcntl
import os
import platform
import re
import resource
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from ironbridge import _engine
from ironbridge.cli import fleet, show

State = Literal["ok", "warning", "problem"]

_FILES_WANTED = 4096
_LONGEST_SOCKET = 107
_F_OFD_SETLK = 37
# In a URI: behind the user's name.
_PASSWORD = re.compile(r"(?<=[^:/@]):[^/@]*@|(?<=//):[^/@]*@")


@dataclass(frozen=True)
class Finding:
    """What one check saw, and what to do about it when it is not well."""

    check: str
    state: State
    detail: str
    advice: str = ""


def look() -> Iterator[Finding]:
    """Every check, in order; one that fails itself is a problem, and the others go on."""
    for check in CHECKS:
        try:
            yield from check()
        except Exception as error:
            name = check.__name__.replace("_", " ")
            yield Finding(name, "problem", f"{type(error).__name__}: {error}", "report this with its whole output")


def python() -> Iterator[Finding]:
    version = f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}"
    fine = sys.version_info >= (3, 11) and sys.implementation.name == "cpython"
    yield Finding("python", "ok" if fine else "problem", version, "" if fine else "use CPython 3.11 or newer")


def versions() -> Iterator[Finding]:
    libraries = [name for name in ("cloudpickle", "uvloop", "numpy", "pydantic") if find_spec(name)]
    extra = f"; also here: {', '.join(libraries)}" if libraries else ""
    yield Finding("ironbridge", "ok", f"engine {_engine.__version__}, {_engine.__file__}{extra}")
    if "cloudpickle" not in libraries:
        yield Finding(
            "classes by value",
            "warning",
            "a class of a notebook or a function cannot become a daemon: cloudpickle is missing",
            "pip install 'ironbridge[value]', if you need it",
        )


def kernel() -> Iterator[Finding]:
    yield Finding("kernel", "ok", f"{platform.system()} {platform.release()}, {os.cpu_count()} processors")
    try:
        os.close(os.pidfd_open(os.getpid()))
        yield Finding("process descriptors", "ok", "pidfd_open works")
    except OSError as error:
        yield Finding(
            "process descriptors",
            "problem",
            f"pidfd_open: {error.strerror}",
            "use Linux 5.3 or newer; in a container, allow pidfd_open in its seccomp profile",
        )


def runtime_directory() -> Iterator[Finding]:
    directory = Path(_engine.runtime_directory())
    status = directory.stat()
    mode = status.st_mode & 0o7777
    if status.st_uid != os.geteuid() or mode & 0o077:
        yield Finding(
            "runtime directory",
            "problem",
            f"{directory} belongs to user {status.st_uid} with mode {mode:04o}",
            f"others can reach it: remove it, or chmod 700 {directory}",
        )
    elif len(os.fsencode(directory)) + 40 > _LONGEST_SOCKET:
        yield Finding(
            "runtime directory",
            "warning",
            f"{directory} is long for a socket's path ({_LONGEST_SOCKET} bytes at most)",
            "set IRONBRIDGE_RUNTIME_DIR to a shorter one",
        )
    else:
        yield Finding("runtime directory", "ok", f"{directory}, mode {mode:04o}")
    yield _locks(directory)
    free = os.statvfs(directory)
    if free.f_bavail * free.f_frsize < 1 << 20 or free.f_favail == 0:
        yield Finding("room for leases", "problem", f"the file system of {directory} is full", "free some space")


def _locks(directory: Path) -> Finding:
    """Whether open-file-description locks work where the leases are."""
    whole_file = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        with tempfile.TemporaryFile(dir=directory) as probe:
            fcntl.fcntl(probe, _F_OFD_SETLK, whole_file)
    except OSError as error:
        advice = "set IRONBRIDGE_RUNTIME_DIR to a directory on a local file system, such as tmpfs"
        return Finding("file locks", "problem", f"no open-file-description lock: {error.strerror}", advice)
    return Finding("file locks", "ok", "open-file-description locks work")


def open_files() -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    hard_text = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
    if 0 <= soft < _FILES_WANTED:
        advice = f"each connection takes one: 'ulimit -n {_FILES_WANTED}' or more before starting services"
        yield Finding("open files", "warning", f"at most {soft} (could be raised to {hard_text})", advice)
    else:
        yield Finding("open files", "ok", f"at most {soft}")


def settings() -> Iterator[Finding]:
    ours = {name: value for name, value in os.environ.items() if name.startswith("IRONBRIDGE_")}
    shown = ", ".join(f"{n}={'…' if 'TOKEN' in n else _PASSWORD.sub(':…@', v)}" for n, v in sorted(ours.items()))
    yield Finding("settings", "ok", shown or "no IRONBRIDGE_ variable is set")


def registry() -> Iterator[Finding]:
    """Reading the leases also clears away those of daemons that are gone, so what lies there is looked at first."""
    directory = Path(_engine.runtime_directory())
    before = {entry.name for entry in directory.glob("*.lease")}
    live = [lease["nonce"] for lease in _engine.leases()]
    stale = sorted(name for name in before if not any(nonce in name for nonce in live))
    if stale:
        detail = f"{len(stale)} of daemons that were killed: {', '.join(stale[:3])}"
        yield Finding("leases", "warning", detail, "nothing: their names are free, and the files are cleared away")
    else:
        yield Finding("leases", "ok", f"{len(live)} held, none stale")


def services() -> Iterator[Finding]:
    daemons = fleet.daemons()
    if not daemons:
        yield Finding("services", "ok", "none runs")
    for daemon in daemons:
        who = f"pid {daemon.pid}, up {show.uptime(daemon.uptime)}"
        if daemon.state == "silent":
            advice = f"it is stuck or stopped: 'kill -CONT {daemon.pid}', or 'ironbridge stop --force {daemon.service}'"
            detail = f"{who}: no answer within {fleet.ANSWER_WITHIN:g} s"
            yield Finding(f"service {daemon.service}", "problem", detail, advice)
        else:
            yield Finding(f"service {daemon.service}", "ok", f"{who}: {daemon.state}")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    python,
    versions,
    kernel,
    open_files,
    settings,
    runtime_directory,
    registry,
    services,
)
