"""`python -m ironbridge.compat`: programs written for an original run unchanged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
import metabridge
import metabridge as meta
from metabridge import MetaBridgeError, connect

@meta.create("original").daemon()
class Service:
    @meta.function
    def names(self):
        import metabridge
        return [metabridge.__name__, __name__]

if __name__ == "__main__":
    with meta.run() as handle, connect("original") as client:
        print(client.names(), sys.argv, __name__, sys.path[0], issubclass(meta.ServiceNotFound, MetaBridgeError))
    sys.exit(7)
"""


def compat(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ironbridge.compat", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("way", [["program.py"], ["-m", "program"]], ids=["file", "module"])
def test_a_program_runs_as_it_would_by_itself(tmp_path: Path, way: list[str]) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = compat(*way, "one", "--two", cwd=tmp_path)
    assert done.returncode == 7, done.stderr
    argv0 = "program.py" if len(way) == 1 else str(tmp_path / "program.py")
    expected = [["ironbridge.bridge", "program"], [argv0, "one", "--two"], "__main__", str(tmp_path), True]
    assert done.stdout.split("\n")[0] == " ".join(map(str, expected))


def test_how_it_is_used(tmp_path: Path) -> None:
    assert compat(cwd=tmp_path).returncode == 2
    assert compat("-m", cwd=tmp_path).returncode == 2
    told = compat("--help", cwd=tmp_path)
    assert told.returncode == 0
    assert told.stdout.startswith("usage: python -m ironbridge.compat")
    assert "No such file" in compat("nowhere.py", cwd=tmp_path).stderr


def test_processes_that_a_program_starts_know_the_original_s_name_and_keep_their_sitecustomize(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('theirs')\n")
    child = "import metabridge, jararaca; print(metabridge.__name__, jararaca.__name__)"
    program = tmp_path / "program.py"
    program.write_text(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}], check=True)\n")
    command = [sys.executable, "-m", "ironbridge.compat", str(program)]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("theirs\ntheirs\nironbridge.bridge ironbridge.app\n", "")
