"""Moleculer.js as a contender at Redis or NATS: programs of its own (`agent.js`), between the agent and its starter."""

import atexit
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import IO

from contract import Figures

AGENT = Path(__file__).with_name("agent.js")
PACKAGES = Path(__file__).resolve().parents[3] / "tests-py/mesh/js"
"""Where `scripts/node.sh` installs either protocol's packages, for tests and benches alike."""

MEASURES = ("get", "inflight", "local")
"""One call after the other, a hundred in flight, and calls within one node."""


def interpreter(protocol: int) -> str:
    """The Node.js of that protocol's packages, or this machine's."""
    found = sorted((PACKAGES / f"v{protocol}/node_modules").glob("node-linux-*/bin/node"))
    return str(found[0]) if found else "node"


def versions(protocol: int) -> dict[str, str]:
    """What is measured."""
    lock = json.loads((PACKAGES / f"v{protocol}/package-lock.json").read_text())
    told = subprocess.run([interpreter(protocol), "--version"], capture_output=True, text=True, check=True)
    moleculer = lock["packages"]["node_modules/moleculer"]["version"]
    return {"moleculer": moleculer, f"Node.js of moleculer {moleculer}": told.stdout.strip().removeprefix("v")}


def start(protocol: int, part: str, address: str) -> "subprocess.Popen[str]":
    """Its program; it ends with its standard input, and so with this process."""
    return subprocess.Popen(
        [interpreter(protocol), str(AGENT), str(PACKAGES / f"v{protocol}"), part, address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
    )


def pipes(process: "subprocess.Popen[str]") -> tuple[IO[str], IO[str]]:
    """Where it is told, and where it answers."""
    assert process.stdin is not None and process.stdout is not None
    return process.stdin, process.stdout


_serving: "list[subprocess.Popen[str]]" = []


def serve(protocol: int, address: str, ready: Callable[[], None]) -> None:
    """Serves until the agent ends."""
    process = start(protocol, "server", address)
    _serving.append(process)
    if pipes(process)[1].readline() != "ready\n":
        raise RuntimeError(f"Moleculer.js ended with {process.wait()}")
    ready()
    raise RuntimeError(f"Moleculer.js ended with {process.wait()}")


def stop() -> None:
    """Ends what serves, and waits: of a child that nobody waits for, the processor time would count as other programs'."""
    for process in _serving:
        pipes(process)[0].close()
        process.wait(5)


@cache
def client(protocol: int, address: str) -> "subprocess.Popen[str]":
    """The calling node, which stays from one measure to the next."""
    process = start(protocol, "client", address)
    atexit.register(process.wait)
    atexit.register(pipes(process)[0].close)
    return process


def taken(protocol: int, measure: str, address: str, seconds: float) -> Figures:
    """One measure."""
    words, answers = pipes(client(protocol, address))
    words.write(json.dumps({"measure": measure, "seconds": seconds}) + "\n")
    words.flush()
    reply = json.loads(answers.readline() or '{"error": "Moleculer.js ended"}')
    if error := reply.get("error"):
        raise RuntimeError(error)
    figures: Figures = reply["figures"]
    return figures


def measures(protocol: int) -> Mapping[str, Callable[[str, float], Figures]]:
    """A contender's `EXTRA`."""
    return {name: partial(taken, protocol, name) for name in MEASURES}
