"""The compiler that generated TypeScript is given to, and what it makes of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

JS = Path(__file__).with_name("js")

_CHECKS = """
noUncheckedIndexedAccess exactOptionalPropertyTypes noUnusedLocals noUnusedParameters noImplicitOverride noImplicitReturns
verbatimModuleSyntax isolatedModules
"""

STRICTEST = ["--strict", *(f"--{name}" for name in _CHECKS.split())]
"""Every check that a project may have on, beside `--strict`."""


def compiled(folder: Path, *files: str, options: list[str] | None = None, emit: bool = False) -> None:
    """Has the compiler take some files; it must have nothing to say."""
    words = ["node", str(JS / "node_modules/typescript/bin/tsc"), *(options or ["--strict"])]
    words += ["--target", "es2022", "--module", "es2022", "--lib", "es2022,dom,dom.iterable"]
    words += ["--moduleResolution", "bundler", *([] if emit else ["--noEmit"]), *files]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr


def declared(text: str, name: str) -> str:
    """One declaration of a file: `interface Owner`, `class Widgets`, `const widgets` …"""
    start = text.index(f"export {name} ")
    return text[start : text.index("\n}", start) + 2]


def method(text: str, name: str) -> str:
    """One method of a file's classes."""
    start = text.index(f"  async {name}(")
    return text[start : text.index("\n  }", start) + 4]
