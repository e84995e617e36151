"""Writing an application's TypeScript, once or whenever its files change."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from ..._loading import load
from ...errors import ConfigurationError
from ..http.server import HttpMicroservice
from ..loading import microservice_of
from .generating import generate

_LONGEST = 300
"""Seconds that a command on the file may run."""


def write(
    app_path: str,
    file: Path | None,
    *,
    stdout: bool = False,
    watch: bool = False,
    src_dir: str = "src",
    post_process: str | None = None,
    runtime: str = "fetch",
) -> None:
    """Writes it. A file is there whole, or as it was; one that would be the same is left alone.

    Args:
        app_path: the application, as `module:name`.
        file: where to.
        stdout: prints it instead.
        watch: writes it again when a Python file changes, until SIGINT or SIGTERM.
        src_dir: looked in for modules.
        post_process: a command that is run on the file; `{file}` in it is its name. No shell reads it: where one is
            wanted, it is `sh -c '…'`.
        runtime: what clients are made for.

    Raises:
        ConfigurationError: neither a file nor `stdout` is given, there is no such runtime, or the command failed.
    """
    if file is None and not stdout:
        raise ConfigurationError("say where to: a file, or --stdout")
    if watch:
        _watch(app_path, None if stdout else file, src_dir, post_process, runtime)
        return
    found = load(app_path, src_dir)
    text = generate(found if isinstance(found, HttpMicroservice) else microservice_of(found), runtime=runtime)
    if stdout or file is None:
        sys.stdout.write(_processed(text, post_process, None).decode())
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        _put(file, _processed(text, post_process, file.parent))


def _watch(app_path: str, file: Path | None, src_dir: str, post_process: str | None, runtime: str) -> None:
    from ..reloading import reload

    # Another process each time: modules that have changed are read again by no other means.
    words = ["app", "gen-tsi", app_path, *([str(file)] if file is not None else ["--stdout"])]
    words += ["--src-dir", src_dir, "--runtime", runtime]
    words += ["--post-process", post_process] if post_process is not None else []
    reload(words, [Path(src_dir), Path.cwd()])


def _processed(text: str, command: str | None, folder: Path | None) -> bytes:
    """The text as a command leaves it; it is run beside the file, so that it finds its settings."""
    if command is None:
        return text.encode()
    descriptor, name = tempfile.mkstemp(".ts", "gen-tsi-", folder)
    try:
        with os.fdopen(descriptor, "wb") as written:
            written.write(text.encode())
        _run(command, name)
        return Path(name).read_bytes()
    finally:
        Path(name).unlink(missing_ok=True)


def _put(file: Path, data: bytes) -> None:
    if file.is_file() and file.read_bytes() == data:
        return
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o644
    descriptor, name = tempfile.mkstemp(".tmp", f".{file.name}.", file.parent)
    try:
        with os.fdopen(descriptor, "wb") as written:
            written.write(data)
        os.chmod(name, mode)
        os.replace(name, file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _run(command: str, name: str) -> None:
    words = [word.replace("{file}", name) for word in shlex.split(command)]
    if not words:
        raise ConfigurationError("the command to run on the file is empty")
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_LONGEST)
    except OSError as error:
        raise ConfigurationError(f"{command!r} cannot be run: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(f"{command!r} had not ended after {_LONGEST} s, and was ended") from error
    if done.returncode:
        told = done.stderr.strip() or done.stdout.strip()
        raise ConfigurationError(f"{command!r} ended with {done.returncode}: {told}")
