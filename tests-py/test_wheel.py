"""The wheel alone in an empty environment, how quickly it imports, and an editable install."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAXIMUM_IMPORT = 0.030
"""Seconds."""


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Runs a command outside the checkout and returns what it printed; a failure shows both streams."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    env.setdefault("CARGO_TARGET_DIR", str(ROOT / "target"))  # what is built already is not built again
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def empty_environment(folder: Path) -> Path:
    """A new environment with nothing in it, not even pip; its interpreter."""
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    return folder / "bin" / "python"


def pip(python: Path, *words: str | Path, cwd: Path | None = None) -> None:
    run(sys.executable, "-m", "pip", "--quiet", "--python", python, *words, cwd=cwd)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    run(Path(sys.executable).parent / "maturin", "build", "--release", "--locked", "--out", out, cwd=ROOT)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def alone(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the wheel and nothing else."""
    python = empty_environment(tmp_path_factory.mktemp("alone") / "env")
    pip(python, "install", "--no-index", "--no-deps", wheel)
    return python


@pytest.mark.timeout(400)
def test_the_wheel_is_for_every_python_from_3_11(wheel: Path) -> None:
    assert "-cp311-abi3-" in wheel.name


def test_nothing_else_is_needed(alone: Path) -> None:
    program = """
from importlib.metadata import distributions, requires
print(sorted(d.name for d in distributions()))
print([r for r in requires("ironbridge") or [] if "extra ==" not in r])
"""
    assert run(alone, "-c", program).splitlines() == ["['ironbridge']", "[]"]


def test_the_document_runs_there(alone: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(ROOT / "examples/document", tmp_path / "document")
    assert run(alone, "client.py", cwd=folder).splitlines() == [
        "Conectando ao serviço 'demo-service'...",
        "Resposta do endpoint 'teste()': Mensagem da home do serviço!",
        "Resposta do endpoint 'get('mundo!')': Olá, mundo!",
        "Resposta do endpoint 'soma(10, 20)': A soma é: 30",
        "Cliente finalizado. A conexão foi fechada.",
    ]


@pytest.mark.parametrize("module", ["ironbridge", "ironbridge.bridge"])
def test_it_is_imported_within_30_ms_and_starts_no_thread(alone: Path, module: str) -> None:
    program = f"""
import os, time
before = time.perf_counter()
import {module}
print(time.perf_counter() - before, len(os.listdir("/proc/self/task")))
"""
    measured = [run(alone, "-I", "-c", program).split() for _ in range(10)]
    assert {threads for _, threads in measured} == {"1"}
    assert min(float(seconds) for seconds, _ in measured) < MAXIMUM_IMPORT, measured


def test_the_command_without_its_libraries_says_what_to_install(alone: Path) -> None:
    done = subprocess.run([alone.parent / "ironbridge", "ps"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["ironbridge: the command needs typer: pip install 'ironbridge[cli]'"]


@pytest.mark.timeout(400)
def test_an_editable_install_works(tmp_path: Path) -> None:
    copy = tmp_path / "copy"  # the module is built in place: never over the one this process has loaded
    ignored = shutil.ignore_patterns("target", ".*", "node_modules", "_engine*.so", "__pycache__", "results")
    shutil.copytree(ROOT, copy, ignore=ignored)
    python = empty_environment(tmp_path / "env")
    pip(python, "install", "--editable", copy)
    (copy / "python/ironbridge/added_later.py").write_text("here = True\n")
    program = "import ironbridge._engine as e, ironbridge.added_later as a; print(e.__file__, a.here)"
    where, here = run(python, "-c", program).split()
    assert Path(where).is_relative_to(copy)
    assert here == "True"
