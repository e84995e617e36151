"""Starts a fresh interpreter and hears from it: what it is to do goes in by one pipe, whether it is up comes by another.

Both messages are `marshal`, which costs no import: parent and child are the same interpreter's
program, and the pipes are theirs alone.
"""

from __future__ import annotations

import marshal
import os
import select
import sys
import time

from ..errors import ConfigurationError, DeadlineExceeded, ServiceUnavailable, from_wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Runs before the parent's `sys.path` is known, so it names nothing but the standard library.
_BOOT = (
    "import marshal,sys;job=marshal.load(open({job},'rb'));sys.path[:]=job['path'];sys.argv[:]=job['argv'];"
    "from ironbridge._bridge.{role} import main;main(job,{report})"
)


class Missing(ConfigurationError):
    """The daemon's import did not make the class: it must travel by value."""


class Process:
    """A process that this one has started, held by a descriptor: no other process can take its place.

    Attributes:
        pid: its number, for people.
        pidfd: readable when it has ended.
        report: where its one message comes from, until it has come.
    """

    def __init__(self, pid: int, report: int) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.report = report
        self._heard = b""

    def listen(self) -> dict[str, Any] | None:
        """Its message, if all of that is there; an empty one when it ended without."""
        try:
            more = os.read(self.report, 1 << 16)
        except BlockingIOError:
            return None
        self._heard += more
        if len(self._heard) >= 4 and len(self._heard) - 4 >= int.from_bytes(self._heard[:4], "little"):
            message: dict[str, Any] = marshal.loads(self._heard[4:])
            return message
        return None if more else {}

    def signal(self, number: int) -> None:
        """Sends a signal; nothing happens when it has ended."""
        import signal

        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            pass

    def reap(self, wait: bool = False) -> int | None:
        """How it ended: its exit code, or minus the signal's number; None while it lives, or when unknown."""
        try:
            ended = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | (0 if wait else os.WNOHANG))
        except ChildProcessError:
            return None
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def kill(self) -> int | None:
        """Ends it at once, and says how it had ended. Its descriptors are given back."""
        if self.pidfd < 0:
            return None
        self.signal(9)
        status = self.reap(wait=True)
        self.close()
        return status

    def heard(self) -> None:
        """Gives the report's descriptor back."""
        if self.report >= 0:
            os.close(self.report)
            self.report = -1

    def close(self) -> None:
        """Gives its descriptors back, once it has ended."""
        self.heard()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


def spawn(job: dict[str, Any], role: str, *, detach: bool = False) -> Process:
    """Starts an interpreter with this one's flags, path, arguments, environment and directory.

    `role` is the module whose `main` it runs. It has read its job when this returns, or has ended.
    """
    import subprocess

    job = {
        **job,
        "path": [entry for entry in sys.path if isinstance(entry, str)],
        "argv": list(sys.argv),
        "parent": os.getpid(),
        "detach": detach,
    }
    job_in, job_out = os.pipe()
    report_in, report_out = os.pipe()
    try:
        child = subprocess.Popen(
            [
                sys.executable,
                *subprocess._args_from_interpreter_flags(),  # type: ignore[attr-defined]
                "-c",
                _BOOT.format(job=job_in, report=report_out, role=role),
                "ironbridge",
                role,
                job["service"],
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if detach else None,
            stderr=subprocess.DEVNULL if detach else None,
            pass_fds=(job_in, report_out),
            start_new_session=detach,
        )
    except BaseException:
        os.close(job_out)
        os.close(report_in)
        raise
    finally:
        os.close(job_in)
        os.close(report_out)
    # It is reaped by its descriptor; Popen would warn of a daemon that lives on.
    child.returncode = 0
    process = Process(child.pid, report_in)
    os.set_blocking(report_in, False)
    try:
        _send(job_out, marshal.dumps(job), process)
    except BaseException:
        process.kill()
        raise
    finally:
        os.close(job_out)
    return process


def _send(descriptor: int, message: bytes, process: Process) -> None:
    os.set_blocking(descriptor, False)
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.register(process.pidfd, select.POLLIN)
    rest = memoryview(message)
    while rest:
        if any(ready == process.pidfd for ready, _ in poll.poll()):
            return  # it has ended; whoever waits for its report will say so
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BrokenPipeError:
            return
        except BlockingIOError:
            continue


def await_ready(process: Process, service: str, deadline: float, allowed: float) -> dict[str, Any]:
    """What the process reports once it serves. A process that fails to has ended when this raises.

    Raises:
        DeadlineExceeded: it was not up by `deadline` (of `time.monotonic`); it was killed.
        ServiceUnavailable: it ended and did not say why.
        IronbridgeError: what it failed with.
    """
    poll = select.poll()
    poll.register(process.report, select.POLLIN)
    poll.register(process.pidfd, select.POLLIN)
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                process.kill()
                raise DeadlineExceeded(
                    f"the daemon of service {service!r} (process {process.pid}) was not up within "
                    f"{allowed:g} s, and was killed; run(startup_timeout=...) gives it more time"
                )
            poll.poll(left * 1000)
            message = process.listen()
            if message is None:
                continue
            if message.get("ready"):
                process.heard()
                return message
            status = process.kill()
            if message.get("missing"):
                raise Missing(message["message"])
            if message:
                raise from_wire(message["code"], message["fate"], message["message"], message["detail"])
            how = f"by signal {-status}" if status is not None and status < 0 else f"with exit code {status}"
            raise ServiceUnavailable(
                f"the daemon of service {service!r} (process {process.pid}) ended {how} before it was up"
            )
    except BaseException:
        process.kill()
        raise


def report(descriptor: int, message: dict[str, Any]) -> None:
    """In the child: tells the parent, once."""
    data = marshal.dumps(message)
    rest = memoryview(len(data).to_bytes(4, "little") + data)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except BrokenPipeError:
        pass  # nobody waits any more
    finally:
        os.close(descriptor)


def report_failure(descriptor: int, error: BaseException) -> None:
    """In the child: tells the parent why it cannot start."""
    from ..errors import IronbridgeError, RemoteExecutionError, to_wire

    if isinstance(error, IronbridgeError) and not isinstance(error, RemoteExecutionError):
        facts = {name: getattr(error, name) for name in error._facts}
        failure = {"code": error.code, "fate": 1, "message": str(error), "detail": facts}
    else:
        detail = to_wire(error)
        try:
            marshal.dumps(detail["args"])
        except ValueError:
            detail["args"] = None
        failure = {"code": RemoteExecutionError.code, "fate": 0, "message": str(error), "detail": detail}
    failure["missing"] = type(error).__name__ == "NotFound"
    report(descriptor, failure)
