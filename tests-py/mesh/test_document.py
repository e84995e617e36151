"""The original document's own code: its examples as programs, beside a node in JavaScript, and its imports unchanged."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from harness import Program, Redis, free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
PATIENCE = 30.0


@pytest.fixture(scope="module")
def place() -> Iterator[str]:
    """A Redis that the examples meet at, with the node in JavaScript that the document has."""
    with Redis() as server:
        url = f"redis://{server.host}:{server.port}"
        node = Program(["sh", EXAMPLES / "compose/run-js-node.sh"], env={**os.environ, "REDIS_URL": url})
        try:
            shows(node, "ServiceBroker with 2 service(s) started")
            yield url
        finally:
            node.close()


def shows(program: Program, text: str) -> None:
    """Returns when a program has written this, to either stream."""
    wait_until(lambda: text in "\n".join([*program.stdout, *program.stderr]) or _has_ended(program), PATIENCE, text)
    assert text in "\n".join([*program.stdout, *program.stderr]), program.output


def _has_ended(program: Program) -> bool:
    return program.returncode is not None


def started(script: str, url: str, folder: Path, node_id: str) -> Program:
    return Program(
        [sys.executable, EXAMPLES / script],
        env={**os.environ, "REDIS_URL": f"{url}/0", "NODE_ID": node_id, "PYTHONUNBUFFERED": "1"},
        cwd=folder,
    )


def test_the_simple_example_prints_what_the_document_shows(place: str, tmp_path: Path) -> None:
    program = started("simple_usage.py", place, tmp_path, "python-node-1")
    try:
        program.say('call greeter-py.hello {"name": "Alice"}')
        shows(program, '{\n  "result": "Hello, Alice!"\n}')
        program.say('call math.add {"a": 100, "b": 999}')
        shows(program, '{\n  "result": 1099\n}')
        program.say('call math.random {"afterMs": 50}')
        shows(program, '"_note": "ev_random_number will broadcast later with receiptId"')
        shows(program, 'ev_random_number: {"receiptId"')
        program.say("services")
        shows(program, "greeter-py (python-node-1): greeter-py.hello")
        shows(program, "math (js-node): math.add, math.random")
        program.say("nodes")
        shows(program, '"js-node": {')
        program.say("call nobody.there")
        shows(program, "ServiceNotFoundError 404")
        program.say('emit ev_random_number {"value": 7}')
        shows(program, 'ev_random_number: {"value": 7}')
        program.say("call greeter-py.hello {no json}")
        shows(program, "that is no JSON")
        program.say("exit")
        assert program.wait_exit(PATIENCE) == 0
    finally:
        program.close()


@pytest.fixture
def images(tmp_path: Path) -> Iterator[str]:
    """A server of images on this machine."""
    import cv2
    import numpy as np

    picture = np.random.default_rng(7).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    encoded = cv2.imencode(".png", picture)[1].tobytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path != "/none" else 404)
            self.end_headers()
            self.wfile.write(encoded if self.path == "/image.png" else b"no image")

        def log_message(self, format: str, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_opencv_example_makes_an_image_coarse(place: str, images: str, tmp_path: Path) -> None:
    import cv2

    program = started("opencv_usage.py", place, tmp_path, "opencv-node-1")
    try:
        program.say(f'call opencv-service.pixelate {{"url": "{images}/image.png", "blocks": 8}}')
        shows(program, "opencv_output/pixelated-")
        (path,) = (tmp_path / "opencv_output").iterdir()
        written = cv2.imread(str(path))
        assert written is not None and written.shape == (240, 320, 3)
        assert (written[:20, :20] == written[0, 0]).all()
        for wrong, told in (("none", "NOT_DOWNLOADED"), ("text", "that is no image")):
            program.say(f'call opencv-service.pixelate {{"url": "{images}/{wrong}"}}')
            shows(program, "MoleculerClientError 422" if told == "NOT_DOWNLOADED" else told)
        program.say('call opencv-service.pixelate {"url": "nowhere"}')
        shows(program, "ValidationError 422")
        program.say("exit")
        assert program.wait_exit(PATIENCE) == 0
    finally:
        program.close()


DOCUMENT = """
import asyncio, json, sys
from moleculer_py.broker import Broker
from moleculer_py.loadbalance import LoadBalanceStrategy, RoundRobinStrategy

class First(LoadBalanceStrategy):
    def select_node(self, registry, action_name):
        return next(node for node in registry.nodes.values() if any(action_name in s.actions for s in node.services))

async def main(url):
    for strategy in (RoundRobinStrategy(), First()):
        broker = Broker(
            node_id="python-node-1",
            redis_url=url,
            strategy=strategy,  # Optional: customize load balancing
        )
        await broker.start()
        print(json.dumps(await broker.call("math.add", {"a": 1, "b": 2})), flush=True)
        await broker.stop()

asyncio.run(main(sys.argv[1]))
"""


def test_the_document_s_code_runs_unchanged(place: str, tmp_path: Path) -> None:
    script = tmp_path / "document.py"
    script.write_text(DOCUMENT)
    program = Program([sys.executable, "-m", "ironbridge.compat", script, f"{place}/15"])
    try:
        assert program.wait_exit(PATIENCE) == 0
        assert [json.loads(line) for line in program.stdout] == [{"result": 3}] * 2
    finally:
        program.close()


def test_run_dev_starts_a_redis_of_this_machine_where_there_is_no_docker(tmp_path: Path) -> None:
    port = free_port()
    path = f"{tmp_path}:/usr/bin:/bin"
    program = Program(["sh", EXAMPLES / "compose/run-dev.sh"], env={"PATH": path, "REDIS_PORT": str(port)})
    try:
        shows(program, "Ready to accept connections")
    finally:
        program.close()
