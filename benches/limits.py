"""Builds and runs the native limit programs (`benches/limits/`)."""

import json
import subprocess
from pathlib import Path

from contract import Figures
from placement import prefix

ROOT = Path(__file__).resolve().parent.parent
BUILD = ["cargo", "build", "--release", "--locked", "--bench", "limits", "--message-format=json"]

LANES = ("unix", "unix-polling", "tcp", "futex", "spin")
SIZES = {"ping": 64, "ping1m": 1 << 20}


def build() -> Path:
    """The program, built if need be. Raises RuntimeError with the compiler's words if it does not build."""
    done = subprocess.run(BUILD, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the limit programs do not build:\n{done.stderr}")
    for line in reversed(done.stdout.splitlines()):
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message.get("executable"):
            return Path(message["executable"])
    raise RuntimeError("cargo built no limit program")


def visit(program: Path, lane: str, measure: str, placement: str, seconds: float) -> Figures:
    """One run of one lane."""
    command = [*prefix(placement), str(program), lane, "--seconds", str(seconds), "--size", str(SIZES[measure])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    line = json.loads(done.stdout)
    return {name: line[name] for name in ("samples", "p50", "p90", "p99", "rate")}
