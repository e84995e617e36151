"""Builds and runs the native limit programs (`benches/limits/`, `benches/fabric/`)."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

from contract import Figures
from placement import prefix

ROOT = Path(__file__).resolve().parent.parent
BUILD = ["cargo", "build", "--release", "--locked", "--message-format=json", "--bench"]

BROKER_LANE = "lapin"
LANES = ("unix", "unix-polling", "tcp", "futex", "spin", BROKER_LANE)
SIZES = {"ping": 64, "ping1m": 1 << 20}

Programs = dict[str, Path]
"""The built program of each lane."""


def build(lanes: Iterable[str]) -> Programs:
    """Their programs, built if need be. Raises RuntimeError with the compiler's words if one does not build."""
    benches = {lane: "fabric" if lane == BROKER_LANE else "limits" for lane in lanes}
    built = {bench: build_one(bench) for bench in set(benches.values())}
    return {lane: built[bench] for lane, bench in benches.items()}


def build_one(bench: str) -> Path:
    """One program."""
    done = subprocess.run([*BUILD, bench], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the limit program {bench!r} does not build:\n{done.stderr}")
    for line in reversed(done.stdout.splitlines()):
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message.get("executable"):
            return Path(message["executable"])
    raise RuntimeError(f"cargo built no limit program {bench!r}")


def visit(program: Path, lane: str, measure: str, placement: str, seconds: float, uri: str | None) -> Figures:
    """One run of one lane; `uri` is the broker's."""
    words = [measure, "--uri", uri] if uri and lane == BROKER_LANE else [lane, "--size", str(SIZES[measure])]
    command = [*prefix(placement), str(program), *words, "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    line = json.loads(done.stdout)
    return {name: line[name] for name in ("samples", "p50", "p90", "p99", "rate") if name in line}
