"""What the pages print runs as it is printed, but for the broker's address."""

from __future__ import annotations

import re
from pathlib import Path

from harness import Program
from harness.told import PATIENCE

ROOT = Path(__file__).parents[2]
PRINTED = "amqp://guest:guest@127.0.0.1/"


def block(page: str, heading: str, uri: str) -> str:
    """The first program under a heading."""
    text = (ROOT / page).read_text()
    _, _, below = text.partition(f"\n## {heading}\n")
    found = re.search(r"```python\n(.*?)```", below, re.DOTALL)
    assert found and PRINTED in found.group(1), f"no program under {heading!r} of {page}"
    return found.group(1).replace(PRINTED, uri)


def test_the_readme_s_program_calls_a_service(vhost: str) -> None:
    with Program.python(block("README.md", "Services at a broker", vhost)) as program:
        program.wait_line("^35$", PATIENCE)
        assert program.wait_exit(PATIENCE) == 0, program.output


def test_the_page_s_service_is_called_without_a_loop_as_the_page_does_it(vhost: str) -> None:
    service = block("docs/fabric.md", "A service", vhost)
    caller = "from ironbridge.fabric import AmqBrokerConnector\n"
    caller += block("docs/fabric.md", "Without an event loop", vhost)
    ready = "await amq.rpc_register(CalculatorApi())"
    assert ready in service
    with Program.python(service.replace(ready, f"{ready}; print('serving')")) as server:
        server.wait_line("serving", PATIENCE)
        with Program.python(caller) as program:
            program.wait_line("^35$", PATIENCE)
            assert program.wait_exit(PATIENCE) == 0, program.output
