"""What a process uses, from /proc."""

import resource
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """Processor time of every living thread of a process, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def proportional_bytes(pid: int) -> int:
    """Memory in use, what is shared being divided among those who share it."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no memory figure for process {pid}")


def descriptors(pid: int) -> int:
    """How many are open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def allow_descriptors(count: int) -> None:
    """Raises this process's bound, and so that of the processes it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def resident_bytes(pid: int) -> int:
    """Memory in use, shared or not."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
