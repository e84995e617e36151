"""Where processes run. A wake between two cores costs far more than a call, so each figure names its placement."""

import os

ONE_CORE = "one-core"
TWO_CORES = "two-cores"
ALL = (ONE_CORE, TWO_CORES)


def prefix(placement: str) -> list[str]:
    """What to put before a command so that it and its children run in this placement."""
    if placement == ONE_CORE:
        return ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
    return []


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))
