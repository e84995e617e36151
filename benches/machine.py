"""What a run ran on."""

import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from placement import cores


def describe() -> dict[str, object]:
    """Processor, cores, kernel and interpreter."""
    return {
        "processor": processor(),
        "cores": cores(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def processor() -> str:
    """The processor's name as the kernel knows it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Installed versions; those that are missing are left out."""
    found = {}
    for name in sorted(set(distributions), key=str.lower):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
