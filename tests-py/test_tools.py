"""The project's own tools: what `make help` says, and that a skipped test counts as a failure."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WANTED = {"help", "demo", "test", "lint", "bench", "bench-quick", "soak", "dev", "wheel", "clean"}


def test_make_help_lists_every_target() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = {line.split()[1] for line in listed.splitlines() if line.strip()}
    targets = set(re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert names == targets
    assert names >= WANTED


@pytest.mark.parametrize(
    "body",
    [
        "import pytest\ndef test_it(): pytest.skip('no reason')",
        "import pytest\npytest.skip('no reason', allow_module_level=True)",
        "import pytest\n@pytest.mark.skipif(True, reason='no reason')\ndef test_it(): pass",
        "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False",
        "import pytest\ndef test_it(): pytest.importorskip('a_module_nobody_has')",
    ],
    ids=["skip", "module", "mark", "xfail", "import"],
)
def test_a_skipped_test_is_a_failure(tmp_path: Path, body: str) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests-py/conftest.py").read_text())
    (tmp_path / "test_it.py").write_text(body)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0, done.stdout
    assert "nothing may be skipped" in done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1]
    assert "xfailed" not in done.stdout.splitlines()[-1]


def test_the_check_names_each_missing_thing_in_one_line(tmp_path: Path) -> None:
    for name in ("bash", "dirname", "sed", "mkdir", "sort", "head", "cut"):
        (tmp_path / name).symlink_to(Path("/usr/bin") / name)
    done = subprocess.run(
        ["/usr/bin/bash", str(ROOT / "scripts/check.sh")],
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert [line.split(":")[1].split(" ")[1] for line in lines[:-1]] == ["cargo", "a", "Python"], lines
    assert lines[-1].startswith("error:")
