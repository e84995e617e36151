"""A long run under mixed load, for `make soak`: the daemon is killed and restarted, then left to serve.

Fails if a call ends as it should not or never, or if the memory or the descriptors of the daemon or of its
callers grow while it serves undisturbed.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic

import ironbridge.bridge as meta
from soak_service import SERVICE
from usage import descriptors, proportional_bytes, resident_bytes

DISTURBED = 0.4
"""The part of the run in which the daemon is killed again and again."""
SETTLING = 0.3
"""The part of the undisturbed rest before memory is compared: caches fill, allocators find their size."""
GROWTH = 4 << 20
DESCRIPTORS = 16


@dataclass
class Sample:
    """One look at one process."""

    at: float
    resident: int
    descriptors: int


class Watched:
    """A process whose use is followed."""

    def __init__(self, name: str, pid: int) -> None:
        self.name, self.pid = name, pid
        self.samples: list[Sample] = []

    def look(self) -> None:
        """One sample more."""
        self.samples.append(Sample(monotonic(), resident_bytes(self.pid), descriptors(self.pid)))

    def growth(self) -> list[str]:
        """What grew from the second to the last third of the samples, beyond the bounds."""
        third = max(1, len(self.samples) // 3)
        early, late = self.samples[-2 * third : -third], self.samples[-third:]
        if not early:
            return [f"{self.name}: too few samples to tell"]
        found = []
        more = min(sample.resident for sample in late) - min(sample.resident for sample in early)
        if more > GROWTH:
            found.append(f"{self.name}: {more / 1e6:.1f} MB more")
        opened = min(sample.descriptors for sample in late) - min(sample.descriptors for sample in early)
        if opened > DESCRIPTORS:
            found.append(f"{self.name}: {opened} descriptors more")
        return found

    def __str__(self) -> str:
        last = self.samples[-1]
        return f"{self.name} {last.resident / 1e6:.1f} MB, {last.descriptors} descriptors"


def tell(text: str) -> None:
    """One line, with the time since the start."""
    print(f"{monotonic() - BEGUN:7.0f} s  {text}", flush=True)


def disturb(handle: meta.DaemonHandle, seconds: float) -> tuple[meta.DaemonHandle, int]:
    """Kills the daemon and starts it again, for that long. Returns the last one, and how many died."""
    kills, end = 0, monotonic() + seconds
    pause = max(1.0, seconds / 60)
    while monotonic() < end:
        PACE.wait(pause)
        os.kill(handle.pid, signal.SIGKILL)
        handle.join(30)
        kills += 1
        handle = meta.run(SERVICE, startup_timeout=30)
        tell(f"killed {kills} times; now process {handle.pid}, {proportional_bytes(handle.pid) / 1e6:.1f} MB")
    return handle, kills


def serve(seconds: float, watched: list[Watched]) -> None:
    """Lets it serve, looking now and then."""
    PACE.wait(seconds * SETTLING)
    end = monotonic() + seconds * (1 - SETTLING)
    pause = max(0.2, seconds / 200)
    said = monotonic()
    while monotonic() < end:
        for one in watched:
            one.look()
        if monotonic() - said > 60:
            said = monotonic()
            tell("; ".join(map(str, watched)))
        PACE.wait(pause)


def soak(seconds: float) -> list[str]:
    """The whole run. Returns what was wrong."""
    handle = meta.run(SERVICE, startup_timeout=30)
    callers = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("soak_load.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    handle, kills = disturb(handle, seconds * DISTURBED)
    watched = [Watched("daemon", handle.pid), Watched("callers", callers.pid)]
    try:
        serve(seconds * (1 - DISTURBED), watched)
    finally:
        report, _ = callers.communicate("", timeout=120)
    tell("; ".join(map(str, watched)))
    if not report:
        return [f"the callers ended with {callers.returncode} and no report"]
    found = json.loads(report)
    for what, count in sorted(found["counts"].items()):
        tell(f"{count:>12,}  {what}")
    tell(f"daemon killed {kills} times")
    handle.stop()
    growth = [line for one in watched for line in one.growth()]
    return [*found["wrong"], *(f"stuck: {kind}" for kind in found["stuck"]), *growth]


def main() -> int:
    """Runs as long as asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600, help="how long, default an hour")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as directory:
        os.environ["IRONBRIDGE_RUNTIME_DIR"] = directory
        wrong = soak(asked.seconds)
    for line in wrong:
        print(f"wrong: {line}", file=sys.stderr)
    return 1 if wrong else 0


BEGUN = monotonic()
PACE = Event()

if __name__ == "__main__":
    sys.exit(main())
