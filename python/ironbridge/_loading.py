"""Finding what a command line names: `module:attribute`, or `path/to/file.py:attribute`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from .errors import ConfigurationError


def load(path: str, src_dir: str | None = None) -> Any:
    """What a path names. The working directory, and `src_dir` if it is there, are looked in first.

    Raises:
        ConfigurationError: there is no such module or attribute; errors of the module's own code are raised as they
            are.
    """
    name, _, attribute = path.partition(":")
    attribute = attribute or "app"
    for folder in (Path.cwd(), Path(src_dir) if src_dir else None):
        if folder is not None and folder.is_dir() and str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    module = _of_file(Path(name)) if name.endswith(".py") else _of_name(name)
    try:
        found: Any = module
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError:
        raise ConfigurationError(
            f"the module {name} has no {attribute!r}: name the application as {name}:NAME"
        ) from None
    return found


def _of_name(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name is not None and (name == missing.name or name.startswith(f"{missing.name}.")):
            raise ConfigurationError(
                f"there is no module {name!r}: looked in {Path.cwd()} and in Python's path; run it where the module is"
            ) from None
        raise


def _of_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigurationError(f"there is no file {path}")
    sys.path.insert(0, str(path.resolve().parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
