"""The document's own programs, only their import changed: they print what the document says."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import ironbridge.bridge as meta
import pytest
from harness import Program, wait_until

DOCUMENT = Path(__file__).parents[2] / "examples" / "document"

EXPECTED = """\
Conectando ao serviço 'demo-service'...
Resposta do endpoint 'teste()': Mensagem da home do serviço!
Resposta do endpoint 'get('mundo!')': Olá, mundo!
Resposta do endpoint 'soma(10, 20)': A soma é: 30
Cliente finalizado. A conexão foi fechada.
""".splitlines()


@pytest.fixture(autouse=True)
def runtime_directory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of services here are nobody else's."""
    monkeypatch.setenv("IRONBRIDGE_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def service() -> Iterator[Program]:
    """`python service_daemon.py`, up."""
    with Program.python(DOCUMENT / "service_daemon.py", cwd=DOCUMENT) as program:
        program.wait_line("executando em background")
        yield program


def daemon_of(service: Program) -> int:
    return int(service.wait_line(r"\(PID (\d+)\)")[1])


def ended(pidfd: int, deadline: float = 10.0) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(deadline * 1000))


def test_the_client_prints_what_the_document_says() -> None:
    with Program.python(DOCUMENT / "client.py", cwd=DOCUMENT) as program:
        assert program.wait_exit() == 0, program.output
        assert program.stdout == EXPECTED
        assert program.stderr == []


def test_the_client_attaches_when_the_service_runs_already(service: Program) -> None:
    pid = daemon_of(service)
    with Program.python(DOCUMENT / "client.py", cwd=DOCUMENT) as program:
        assert program.wait_exit() == 0, program.output
        assert program.stdout == EXPECTED
    os.kill(pid, 0)  # it lives on


def test_ctrl_c_ends_the_service_as_the_document_says(service: Program) -> None:
    pid = daemon_of(service)
    pidfd = os.pidfd_open(pid)
    wait_until(service.waits, what="the program waits in join()")
    # A terminal's Ctrl+C goes to the daemon as well.
    os.killpg(service.pid, signal.SIGINT)
    assert service.wait_exit() == 0, service.output
    assert service.stdout == [
        f"Serviço 'demo-service' executando em background (PID {pid}). Pressione Ctrl+C para finalizar.",
        "Serviço finalizado com sucesso.",
    ]
    assert service.stderr == []
    assert ended(pidfd)
    os.close(pidfd)


def test_an_unrelated_program_connects(service: Program) -> None:
    program = (
        "import ironbridge.bridge as meta\n"
        "with meta.connect('demo-service', 'Oi,') as client:\n"
        "    print(client.get('tu'), client.home(), client.soma(a=1, b=2), sep='|')\n"
    )
    with Program.python(program) as other:
        assert other.wait_exit() == 0, other.output
        assert other.stdout == ["Oi, tu|Mensagem da home do serviço!|A soma é: 3"]


def test_the_public_service_is_reached_over_tcp() -> None:
    source = "import public_service, sys\nprint('up', flush=True)\nsys.stdin.readline()\n"
    with Program.python(source, cwd=DOCUMENT) as program:
        program.wait_line("up")
        told = program.wait_line(r'connect\("(tcp://[^"]+)", token="([^"]+)"\)')
        with meta.connect(told[1], token=told[2]) as client:
            assert client.status() == "Serviço público está operacional!"
        with pytest.raises(meta.AuthenticationError):
            meta.connect(told[1], token="0" * len(told[2]))
        with meta.connect("public-service") as client:  # on this machine no token is asked for
            assert client.status() == "Serviço público está operacional!"
        program.say("")
        assert program.wait_exit() == 0, program.output
    assert not any("connect(" in line for line in program.stdout)


@pytest.mark.parametrize("way", [["client.py"], ["-m", "client"]], ids=["file", "module"])
def test_the_originals_own_code_runs_unchanged(tmp_path: Path, way: list[str]) -> None:
    for file in ("service_daemon.py", "client.py"):
        source = (DOCUMENT / file).read_text().replace("import ironbridge.bridge as meta", "import metabridge as meta")
        assert "import metabridge as meta" in source
        (tmp_path / file).write_text(source)
    with Program([sys.executable, "-m", "ironbridge.compat", *way], cwd=tmp_path) as program:
        assert program.wait_exit() == 0, program.output
        assert program.stdout == EXPECTED
