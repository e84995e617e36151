"""Measures `ironbridge.app` beside bare FastAPI and the original from PyPI, in rounds one after the other.

    python benches/app/run.py [--rounds 7] [--seconds 2] [--row http …]

Each figure is the median of the rounds; each ratio the median of the rounds' ratios. Servers run on the first core, those who
ask them on the others.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
sys.path.append(str(Path(__file__).resolve().parents[2] / "tests-py"))

from harness import Program, RabbitMQ, Redis, free_port
from quiet import Snapshot, Verdict

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
THEIRS = ROOT / ".cache/peers/jararaca/bin/python"
PYTHON = {"ours": sys.executable, "bare": sys.executable, "theirs": str(THEIRS), "pooled": str(THEIRS)}
FACE = {"ours": "ironbridge.app", "theirs": "jararaca", "pooled": "jararaca"}
WARM = 0.5
CLIENTS, BROADCASTS, FRAME = 1000, 20, 102
MESSAGES, PREFETCH = 8000, 200
Figures = dict[str, list[float]]


@dataclass
class Server:
    """One of those that are asked."""

    program: Program
    port: int

    def asked(self, method: str, path: str, seconds: float) -> float:
        """Answers each second."""
        load = str(HERE / "load.py")
        words = [*cores(False), sys.executable, load, "requests", str(self.port), method, path, str(seconds)]
        return float(subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout)


def cores(server: bool) -> list[str]:
    """Before a command: where it runs."""
    every = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(every[0]) if server or len(every) == 1 else ",".join(map(str, every[1:]))]


@contextmanager
def server(make: str, factory: str, more: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server of a make."""
    port = free_port()
    module = "bare" if make == "bare" else "served"
    environment = {"FACE": FACE.get(make, ""), "PYTHONPATH": str(HERE), **({"POOLS": "1"} if make == "pooled" else {})}
    words = ["-m", "uvicorn", f"{module}:{factory}", "--factory", "--port", str(port), "--no-access-log"]
    with Program([*cores(True), PYTHON[make], *words], env={**environment, **(more or {})}) as program:
        program.wait_line("Uvicorn running", 20)
        yield Server(program, port)


def asked_in_turn(servers: Mapping[str, Server], method: str, path: str, rounds: int, seconds: float) -> Figures:
    """Answers each second. Only the server that is asked runs: the original's pools go on with the processor after the
    last answer, which would be measured with whichever is asked next."""
    figures: Figures = {make: [] for make in servers}
    for one in servers.values():
        one.asked(method, path, WARM)
        one.program.freeze()
    for _ in range(rounds):
        for make, one in servers.items():
            one.program.thaw()
            figures[make].append(one.asked(method, path, seconds))
            one.program.freeze()
    for one in servers.values():
        one.program.thaw()
    return figures


def http(rounds: int, seconds: float) -> Figures:
    """GET of a model, no interceptor: answers each second."""
    with ExitStack() as running:
        servers = {make: running.enter_context(server(make, "plain")) for make in ("bare", "ours", "theirs")}
        return asked_in_turn(servers, "GET", "/items/5", rounds, seconds)


def publish(rounds: int, seconds: float) -> Figures:
    """POST that publishes one message: answers each second. The broker has it by then: ours is confirmed, the original's
    is committed."""
    with RabbitMQ() as rabbitmq, ExitStack() as running:
        servers = {}
        for make in ("ours", "theirs", "pooled"):
            rabbitmq.add_vhost(make)
            declared(rabbitmq.uri(vhost=make))
            more = {"BUS": rabbitmq.uri(vhost=make), "REDIS": "redis://none"}
            servers[make] = running.enter_context(server(make, "publishing", more))
        return asked_in_turn(servers, "POST", "/made/1", rounds, seconds)


def declared(bus: str) -> None:
    """Has the queue there, and nothing in it."""
    words = ["-m", "ironbridge.cli", "app", "declare", "served:app", "--broker-url", f"{bus}?exchange=bench"]
    environment = {**os.environ, "FACE": FACE["ours"], "PYTHONPATH": str(HERE), "BUS": bus, "REDIS": "redis://none"}
    subprocess.run([sys.executable, *words], env=environment, check=True, capture_output=True, cwd=HERE, timeout=60)


def worker(rounds: int, _seconds: float) -> Figures:
    """An empty handler, prefetch 200: messages each second."""
    figures: Figures = {"ours": [], "theirs": []}
    with RabbitMQ() as rabbitmq, Redis() as redis:
        for number in range(rounds):
            for make in figures:
                vhost = f"{make}-{number}"
                rabbitmq.add_vhost(vhost)
                figures[make].append(
                    MESSAGES / handled(make, rabbitmq.uri(vhost=vhost), f"redis://{redis.host}:{redis.port}")
                )
                rabbitmq.delete_vhost(vhost)
    return figures


def handled(make: str, bus: str, redis: str) -> float:
    """Seconds from the first to the last of the messages that wait."""
    declared(bus)
    subprocess.run([sys.executable, str(HERE / "fill.py"), bus, str(MESSAGES)], check=True, timeout=120)
    environment = {"FACE": FACE[make], "PYTHONPATH": str(HERE), "BUS": bus, "REDIS": redis, "MESSAGES": str(MESSAGES)}
    command = [sys.executable, "-m", "ironbridge.cli", "app"] if make == "ours" else [str(THEIRS.with_name("jararaca"))]
    url = f"{bus}?exchange=bench&prefetch_count={PREFETCH}"
    words = ["worker", "served:app", "--broker-url", url, "--backend-url", redis, "--src-dir", str(HERE)]
    with Program([*cores(True), *command, *words], env=environment, cwd=HERE) as program:
        return float(program.wait_line(r"handled in (.+)", 120)[1])


def websockets(rounds: int, _seconds: float) -> Figures:
    """Broadcasts to 1,000 websockets: the server's processor time for each delivery, in microseconds."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    figures: Figures = {"ours": [], "theirs": []}
    with Redis() as redis:
        for make in figures:
            with server(make, "telling", {"REDIS": f"redis://{redis.host}:{redis.port}"}) as telling:
                words = [
                    *cores(False),
                    sys.executable,
                    str(HERE / "load.py"),
                    "sockets",
                    str(telling.port),
                    str(CLIENTS),
                ]
                with Program(words) as clients:
                    clients.wait_line("open", 60)
                    for number in range(rounds + 1):
                        used = told(telling.port, BROADCASTS)
                        whole = (number + 1) * BROADCASTS * CLIENTS * FRAME
                        clients.wait_line(f"came {whole}$", 60)
                        figures[make].append((told(telling.port, 0) - used) / (BROADCASTS * CLIENTS) * 1e6)
        for taken in figures.values():
            del taken[0]
    return figures


def told(port: int, count: int) -> float:
    """Has the server tell its websockets so often; its processor time before that."""
    import httpx

    before = float(httpx.post(f"http://127.0.0.1:{port}/notes/0", timeout=60).json())
    if count:
        httpx.post(f"http://127.0.0.1:{port}/notes/{count}", timeout=60)
    return before


def starting(rounds: int, _seconds: float) -> Figures:
    """Imports and the command's help: milliseconds."""
    programs = {
        "import fastapi": ["-c", "import fastapi"],
        "import ironbridge.app, all that a server needs": [
            "-c",
            "from ironbridge.app import create_http_server, Microservice; create_http_server(Microservice())",
        ],
        "ironbridge app --help": ["-m", "ironbridge.cli", "app", "--help"],
        "python": ["-c", "pass"],
    }
    figures: Figures = {name: [] for name in programs}
    for _ in range(rounds):
        for name, words in programs.items():
            begun = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, capture_output=True)
            figures[name].append((time.perf_counter() - begun) * 1000)
    return figures


ROWS: dict[str, tuple[Callable[[int, float], Figures], str, bool]] = {
    "http": (http, "GET, answers/s", True),
    "publish": (publish, "POST and one publish, answers/s", True),
    "worker": (worker, f"empty handler, prefetch {PREFETCH}, messages/s", True),
    "websockets": (websockets, f"processor time of a delivery to {CLIENTS:,} websockets, µs", False),
    "start": (starting, "milliseconds", False),
}


def main() -> None:
    """Runs the rows that are asked for, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--row", action="append", choices=ROWS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if not THEIRS.exists():
        raise SystemExit("the original is not installed: scripts/peer.sh requirements/jararaca.txt")
    found: dict[str, Figures] = {}
    before = Snapshot.take()
    for name in given.row or ROWS:
        measure, title, _ = ROWS[name]
        figures = found[name] = measure(given.rounds, given.seconds)
        print(f"\n{title}", flush=True)
        for make, taken in figures.items():
            line = f"  {make:48} {statistics.median(taken):12,.1f}"
            if make != "ours" and "ours" in figures:
                ratios = [mine / other for mine, other in zip(figures["ours"], taken, strict=True)]
                line += f"   ours is {statistics.median(ratios):.2f} ×"
            print(line, flush=True)
    print(f"\n{Verdict.between(before, Snapshot.take())}")
    if given.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
