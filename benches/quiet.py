"""Was the machine quiet? Load, steal, and what other programs used while something was measured."""

import os
import resource
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic

FOREIGN_CORES = 0.08
"""Other programs may use this much of a core; the kernel's own bookkeeping takes about half of it."""
STEAL = 0.01
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Snapshot:
    """The machine's counters at one moment."""

    at: float
    load: tuple[float, ...]
    busy: float
    steal: float
    own: float

    @classmethod
    def take(cls) -> "Snapshot":
        """Reads them; times are in seconds of one core."""
        fields = [int(field) / TICKS for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        user, nice, system, _idle, _iowait, irq, softirq, steal = fields[:8]
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return cls(
            at=monotonic(),
            load=os.getloadavg(),
            busy=user + nice + system + irq + softirq,
            steal=steal,
            own=sum(usage.ru_utime + usage.ru_stime for usage in used),
        )


@dataclass
class Verdict:
    """What happened between two snapshots; own children must have been waited for."""

    load_before: tuple[float, ...]
    load_after: tuple[float, ...]
    steal: float
    foreign_cores: float
    quiet: bool

    @classmethod
    def between(cls, before: Snapshot, after: Snapshot) -> "Verdict":
        """Compares the counters."""
        elapsed = max(after.at - before.at, 1e-9)
        steal = (after.steal - before.steal) / elapsed
        foreign = max(0.0, (after.busy - before.busy) - (after.own - before.own)) / elapsed
        quiet = steal <= STEAL and foreign <= FOREIGN_CORES
        return cls(before.load, after.load, round(steal, 4), round(foreign, 3), quiet)

    def as_json(self) -> dict[str, object]:
        """For the results file."""
        return asdict(self)

    def __str__(self) -> str:
        word = "quiet" if self.quiet else "NOT QUIET"
        return (
            f"{word}: load {self.load_before[0]:.2f} before and {self.load_after[0]:.2f} after, "
            f"steal {self.steal:.1%}, other programs used {self.foreign_cores:.2f} cores"
        )
