"""Writes projects and entities to files, over none that are there."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template

from ...errors import ConfigurationError
from .project import ENTITY, FILES


def project(
    name: str, output: Path, package: str | None, description: str, python: str, force: bool = False
) -> list[Path]:
    """Writes a new project into `output/NAME`; gives its files.

    Raises:
        ConfigurationError: a name cannot be, or a file is there already.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ConfigurationError(f"{name!r} is no project's name: use letters, digits, - and _")
    package = package or re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()
    if not package.isidentifier() or keyword.iskeyword(package):
        raise ConfigurationError(f"{package!r} is no package's name: give one with --package")
    words = {
        "name": name,
        "package": package,
        "description": description.replace('"', "'").replace("\\", ""),
        "python": python,
    }
    texts = {Path(Template(path).substitute(words)): Template(text).substitute(words) for path, text in FILES.items()}
    return _write({output / name / path: text for path, text in texts.items()}, force)


def entity(name: str, file: Path, force: bool = False) -> Path:
    """Writes an entity with its schemas and a controller.

    Raises:
        ConfigurationError: the name cannot be, or the file is there already.
    """
    title = "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name) if part)
    if not title.isidentifier():
        raise ConfigurationError(f"{name!r} is no entity's name: OrderItem, or order-item")
    table = re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: f"_{match[1]}", title).lower()
    text = Template(ENTITY).substitute({"Name": title, "table": table, "path": table.replace("_", "-")})
    return _write({file: text}, force)[0]


def _write(files: dict[Path, str], force: bool) -> list[Path]:
    there = [path for path in files if path.exists()]
    if there and not force:
        raise ConfigurationError(f"{there[0]} is there already; --force writes over it")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return list(files)
