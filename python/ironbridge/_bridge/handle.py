"""`DaemonHandle`: what `run()` returns."""

from __future__ import annotations

import atexit
import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .launch import Process

_SIGTERM, _SIGKILL = 15, 9

# The daemons that end with this process, by their handles.
_owned: set[DaemonHandle] = set()


class DaemonHandle:
    """A running daemon: one that this process has started, or one that it has attached to.

    In a forked child a handle lets the daemon be: it can look and wait, and `stop()` does nothing.

    Attributes:
        pid: the daemon's process; with several workers, or detached, the one that supervises them.
        service: the service's name.
        attached: whether another program started it.
    """

    def __init__(
        self,
        service: str,
        pid: int,
        pidfd: int,
        *,
        process: Process | None = None,
        detached: bool = False,
        supervised: bool = False,
    ) -> None:
        self.service = service
        self.pid = pid
        self.attached = process is None
        self._pidfd = pidfd
        self._process = process
        self._supervised = supervised
        self._starter = os.getpid()
        self._returncode: int | None = None
        if process is not None and not detached:
            if not _owned:
                atexit.unregister(_stop_all)
                atexit.register(_stop_all)
            _owned.add(self)

    def __repr__(self) -> str:
        state = "running" if self.is_running() else "ended"
        return f"<DaemonHandle {self.service!r} pid={self.pid} {state}{' attached' if self.attached else ''}>"

    def __enter__(self) -> DaemonHandle:
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop()

    def __del__(self) -> None:
        pidfd, self._pidfd = getattr(self, "_pidfd", -1), -1
        if pidfd >= 0:
            os.close(pidfd)

    @property
    def exitcode(self) -> int | None:
        """How a daemon started here has ended: its exit code, or minus the signal's number."""
        self._reap()
        return self._returncode

    def is_running(self) -> bool:
        """Whether the daemon's process lives."""
        return not self._wait(0)

    def join(self, timeout: float | None = None) -> bool:
        """Waits for the daemon's end, `timeout` seconds at most. Returns whether it has ended."""
        return self._wait(timeout)

    def stop(self, *, timeout: float | None = 1.0) -> None:
        """Ends the daemon that this process has started: running calls may finish for `timeout` seconds.

        After that it is killed; `None` waits for as long as its own grace period lasts. A daemon that
        was attached to lives on. Stopping twice is harmless.
        """
        if self._process is None or self._starter != os.getpid():
            return
        if self.is_running():
            self._process.signal(_SIGTERM)
            if not self._wait(timeout):
                self._kill(self._process)
        self._reap()

    def _kill(self, process: Process) -> None:
        if self._supervised:
            process.signal(_SIGTERM)  # told twice, it kills its workers
            if self._wait(1.0):
                return
        process.signal(_SIGKILL)
        self._wait(None)

    def _wait(self, timeout: float | None) -> bool:
        if self._pidfd < 0:
            return True
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        ended = bool(poll.poll(None if timeout is None else max(0.0, timeout) * 1000))
        if ended:
            self._reap()
        return ended

    def _reap(self) -> None:
        if self._process is not None and self._returncode is None and self._starter == os.getpid():
            self._returncode = self._process.reap()
            if self._returncode is not None:
                _owned.discard(self)


def running(service: str) -> DaemonHandle | None:
    """The handle of the daemon that this process has started under that name, if it lives."""
    mine = os.getpid()
    for handle in list(_owned):
        if handle.service == service and handle._starter == mine and handle.is_running():
            return handle
    return None


def _stop_all() -> None:
    """At this process's end: all are told at once, then waited for together."""
    mine = [handle for handle in _owned if handle._starter == os.getpid()]
    for handle in mine:
        if handle._process is not None and handle.is_running():
            handle._process.signal(_SIGTERM)
    deadline = time.monotonic() + 1.0
    for handle in mine:
        if not handle.join(deadline - time.monotonic()):
            handle.stop(timeout=0)
