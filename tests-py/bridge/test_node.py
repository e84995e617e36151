"""The protocol as its documentation tells it: a client in Node.js calls a service in Python."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Program, free_port

EXAMPLE = Path(__file__).parents[2] / "examples" / "node"
TOKEN = "a-secret-of-this-test"

ANSWERS = [
    "add: 3 × box of bolt in Rome",
    "add: 5 × box of bolt in Rome",
    "stock: { bolt: 5 }",
    "together: 1, 4, 9",
    "picture: 100000 bytes",
    "error: LookupError: no nut in Rome (executed)",
]


@pytest.fixture
def port() -> Iterator[int]:
    """Where the example's service listens."""
    port = free_port()
    with Program.python(EXAMPLE / "service.py", str(port), TOKEN) as service:
        service.wait_line("serves on", 20)
        yield port


def node(*arguments: str) -> Program:
    return Program(["node", EXAMPLE / "main.js", *arguments])


def test_by_name_over_the_unix_socket(port: int) -> None:
    with node() as program:
        assert program.wait_exit(20) == 0, program.output
        assert program.stdout[0].startswith("endpoints: add, picture")
        assert program.stdout[1:] == ANSWERS


def test_over_tcp_with_the_token(port: int) -> None:
    with node(f"tcp://127.0.0.1:{port}/inventory", TOKEN) as program:
        assert program.wait_exit(20) == 0, program.output
        assert program.stdout[1:] == ANSWERS


@pytest.mark.parametrize(("token", "said"), [((), "asks for a token"), (("another",), "the token is wrong")])
def test_over_tcp_without_it(port: int, token: tuple[str, ...], said: str) -> None:
    with node(f"tcp://127.0.0.1:{port}/inventory", *token) as program:
        assert program.wait_exit(20) != 0
        assert said in program.output
