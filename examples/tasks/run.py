"""Runs the tasks application: `python run.py`, then open http://127.0.0.1:8000/page/.

Without more, one process does all, on a bus and websockets in memory and a SQLite file. `--full` runs a server, two workers
and a beat, at the RabbitMQ, Redis and PostgreSQL of `docker compose up`, or of BUS_URL, REDIS_URL and DATABASE_URL.
"""

import argparse
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

FULL = {
    "BUS_URL": "amqp://guest:guest@localhost/?exchange=tasks",
    "REDIS_URL": "redis://localhost",
    "DATABASE_URL": "postgresql+asyncpg://tasks:tasks@localhost/tasks",
}
APP = [sys.executable, "-m", "ironbridge.cli", "app"]


def main() -> int:
    """Runs until Ctrl+C, or until a process ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="processes of their own, at RabbitMQ, Redis and PostgreSQL")
    parser.add_argument("--port", default="8000")
    given = parser.parse_args()
    environment = {**(FULL if given.full else {}), **os.environ}
    bus = ["--broker-url", environment.get("BUS_URL", ""), "--backend-url", environment.get("REDIS_URL", "")]
    server = ["server", "app:http_app", "--host", "127.0.0.1", "--port", given.port]
    others = [["worker", "app:app", *bus], ["worker", "app:app", *bus], ["beat", "app:app", *bus]]
    with ExitStack() as running:
        programs = [
            running.enter_context(subprocess.Popen([*APP, *words], cwd=Path(__file__).parent, env=environment))
            for words in [server, *(others if given.full else [])]
        ]
        print(f"open http://127.0.0.1:{given.port}/page/ (password: tasks)", flush=True)
        try:
            os.wait()  # the first that ends, ends all
        except KeyboardInterrupt:
            pass
        for program in programs:
            program.send_signal(signal.SIGINT)
    return max(program.returncode or 0 for program in programs)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
