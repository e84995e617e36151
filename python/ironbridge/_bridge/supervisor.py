"""What supervises a service of several workers, or a detached one: starts them, and starts again those that end.

It imports nothing of the user's, runs no endpoint, and waits on descriptors only.
"""

from __future__ import annotations

import os
import select
import time

from . import launch, logs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_SIGTERM, _SIGKILL = 15, 9
# A worker that ends is started again after 0.1 s, 0.2 s, ... 30 s; one that lived for 10 s counts as well.
_FIRST_DELAY, _LONGEST_DELAY, _WELL_AFTER = 0.1, 30.0, 10.0
# Workers end within their own grace period (10 s by default); one that does not is killed.
_PATIENCE = 30.0


class _Worker:
    """One place in the service, and the process that fills it now."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: launch.Process | None = None
        self.started = 0.0
        self.failures = 0
        self.due = 0.0


def main(job: dict[str, Any], descriptor: int) -> NoReturn:
    """Runs until told to end or, unless detached, until the parent has ended."""
    import signal

    os.set_inheritable(descriptor, False)
    signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        supervisor = Supervisor(job)
        ready = supervisor.start()
    except BaseException as error:
        launch.report_failure(descriptor, error)
        os._exit(1)
    launch.report(descriptor, ready)
    supervisor.run()
    os._exit(0)


class Supervisor:
    """The workers of one service."""

    def __init__(self, job: dict[str, Any]) -> None:
        import signal

        self.service: str = job["service"]
        self.job = job
        self.group = os.urandom(16).hex()
        self.workers = [_Worker(number) for number in range(job["workers"])]
        self.stopping = False
        self.killed_at = 0.0
        self.poll = select.poll()
        self.parent = -1
        if not job["detach"]:
            self.parent = os.pidfd_open(job["parent"])
            if os.getppid() != job["parent"]:
                os._exit(1)  # the parent has ended before it could be watched
            self.poll.register(self.parent, select.POLLIN)
        # A signal makes its number readable here, so that none is missed between two waits.
        self.woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.poll.register(self.woken, select.POLLIN)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGTERM, lambda number, frame: None)

    def start(self) -> dict[str, Any]:
        """Starts all workers at once; returns what the first reports when all are up.

        Raises:
            IronbridgeError: what a worker failed with; the others have ended then.
        """
        deadline = time.monotonic() + self.job["allowed"]
        first, *others = self.workers
        try:
            self._spawn(first)
            if self._shares_a_free_port():
                ready = self._await(first, deadline)
                self.job["options"]["port"] = int(ready["tcp"].rpartition(":")[2])
                for worker in others:
                    self._spawn(worker)
            else:
                for worker in others:
                    self._spawn(worker)
                ready = self._await(first, deadline)
            for worker in others:
                self._await(worker, deadline)
        except BaseException:
            for worker in self.workers:
                if worker.process is not None:
                    worker.process.kill()
            raise
        return ready

    def _await(self, worker: _Worker, deadline: float) -> dict[str, Any]:
        assert worker.process is not None
        return launch.await_ready(worker.process, self.service, deadline, self.job["allowed"])

    def _shares_a_free_port(self) -> bool:
        """Whether the first worker's port, which the system chooses, is to be everybody's."""
        options = self.job["options"]
        return options["host"] is not None and not options["port"]

    def run(self) -> None:
        """Keeps the workers running; returns when all have ended after it was told to stop."""
        while not (self.stopping and all(worker.process is None for worker in self.workers)):
            for ready, _ in self.poll.poll(self._until_due()):
                if ready == self.woken:
                    if _SIGTERM in os.read(self.woken, 1024):
                        self._stop()
                elif ready == self.parent:
                    self.poll.unregister(self.parent)
                    self._stop()
                else:
                    self._hear(ready)
            self._act_on_time()

    def _spawn(self, worker: _Worker) -> None:
        options = {
            **self.job["options"],
            "worker": worker.number,
            "workers": len(self.workers),
            "group": self.group,
            "supervisor": os.getpid(),
        }
        worker.process = launch.spawn({**self.job, "options": options}, "daemon")
        worker.started = time.monotonic()
        self.poll.register(worker.process.pidfd, select.POLLIN)

    def _hear(self, descriptor: int) -> None:
        for worker in self.workers:
            process = worker.process
            if process is None:
                continue
            if descriptor == process.report:
                self._hear_report(worker, process)
            elif descriptor == process.pidfd:
                self._ended(worker, process)

    def _hear_report(self, worker: _Worker, process: launch.Process) -> None:
        message = process.listen()
        if message is None:
            return
        self.poll.unregister(process.report)
        process.heard()
        if not message.get("ready"):
            process.signal(_SIGKILL)
            if message:
                logs.logger().error("worker %d of %r cannot start: %s", worker.number, self.service, message["message"])

    def _ended(self, worker: _Worker, process: launch.Process) -> None:
        self.poll.unregister(process.pidfd)
        if process.report >= 0:
            self.poll.unregister(process.report)
        status = process.reap()
        process.close()
        worker.process = None
        if self.stopping:
            return
        now = time.monotonic()
        worker.failures = 0 if now - worker.started >= _WELL_AFTER else worker.failures + 1
        delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** max(0, worker.failures - 1))
        worker.due = now + delay
        how = f"by signal {-status}" if status is not None and status < 0 else f"with exit code {status}"
        logs.logger().warning(
            "worker %d of %r (process %d) ended %s; starting it again in %.1f s",
            worker.number,
            self.service,
            process.pid,
            how,
            delay,
        )

    def _stop(self) -> None:
        """Told once, workers drain; told again, they are killed."""
        self.killed_at = time.monotonic() + (0.0 if self.stopping else _PATIENCE)
        self.stopping = True
        for worker in self.workers:
            if worker.process is not None:
                worker.process.signal(_SIGTERM)

    def _until_due(self) -> float | None:
        """Milliseconds until something is to be done without being told."""
        empty = [worker.due for worker in self.workers if worker.process is None]
        due = [self.killed_at] if self.stopping else empty
        return max(0.0, min(due) - time.monotonic()) * 1000 + 1 if due else None

    def _act_on_time(self) -> None:
        now = time.monotonic()
        for worker in self.workers:
            if self.stopping:
                if worker.process is not None and now >= self.killed_at:
                    worker.process.signal(_SIGKILL)
            elif worker.process is None and now >= worker.due:
                self._spawn(worker)
                assert worker.process is not None
                self.poll.register(worker.process.report, select.POLLIN)
