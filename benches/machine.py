"""What a run ran on."""

import platform
import tomllib
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


def broker() -> dict[str, str]:
    """The broker's version, and that of the native client beside which contenders are measured."""
    lock = tomllib.loads((Path(__file__).resolve().parent.parent / "Cargo.lock").read_text())
    found = {package["name"]: package["version"] for package in lock["package"] if package["name"] == "lapin"}
    homes = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
    return found | ({"RabbitMQ": homes[-1].name.partition("-")[2]} if homes else {})


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Installed versions; those that are missing are left out."""
    found = {}
    for name in sorted(set(distributions), key=str.lower):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
