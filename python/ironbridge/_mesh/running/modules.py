"""Python files that have services, which can be executed again: `module`, `module:Service`, `path/to/file.py:Service`."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ..._loading import load
from ...errors import ConfigurationError
from ..service import BaseService

_NO_NAME = re.compile(r"\W")


class NoService(ConfigurationError):
    """A file has no service."""


class ServiceFile:
    """A file with services.

    Attributes:
        path: how it was named.
        file: where it is; `None` before it is loaded, and of a module without a Python file.
    """

    def __init__(self, path: str) -> None:
        self.path, self.file = path, None if not path.partition(":")[0].endswith(".py") else _there(path)
        self._name, _, self._attribute = path.partition(":")
        self._module: ModuleType | None = None

    def kinds(self) -> list[Any]:
        """The classes, or schemas, that the path names; all classes of a file without `:Service`. The file is executed
        anew each time; what it was stays in use when that fails.

        Raises:
            ConfigurationError: there is no such file, module or service (`NoService`: none at all); errors of its own
                code are raised as they are.
        """
        self._module = self._loaded()
        if self._attribute:
            return [self._named(self._module)]
        own = [one for one in vars(self._module).values() if _is_service(one, self._module.__name__)]
        if not own:
            raise NoService(f"{self._name} has no service: a class that derives from BaseService")
        return own

    def _loaded(self) -> ModuleType:
        if self.file is None:
            name = load(f"{self._name}:__name__")
            module: ModuleType = sys.modules[name]
            if (source := getattr(module, "__file__", None)) and source.endswith(".py"):
                self.file = Path(source)
            return module
        if self._module is not None:
            return _executed(self._module.__name__, self.file)
        folder = str(self.file.parent)
        if folder not in sys.path:
            # At the end: a file may well be called as one of Python's own modules.
            sys.path.append(folder)
        return _executed(_free(_NO_NAME.sub("_", self.file.stem)), self.file)

    def _named(self, module: ModuleType) -> Any:
        found: Any = module
        try:
            for part in self._attribute.split("."):
                found = getattr(found, part)
        except AttributeError:
            raise ConfigurationError(f"{self._name} has no {self._attribute!r}") from None
        return found


def is_folder(path: str) -> bool:
    """Whether it is a folder's, and no module's."""
    return Path(path).is_dir()


def whole(path: str) -> str:
    """A path by which its file or folder is known, wherever it is named from."""
    name, mark, attribute = path.partition(":")
    return f"{Path(name).resolve()}{mark}{attribute}" if name.endswith(".py") or is_folder(name) else path


def services_in(folder: Path, mask: str) -> list[Path]:
    """The files of a folder that may have services, those of `__pycache__` and hidden ones left out.

    Args:
        folder: where to look.
        mask: as `Path.glob` has it: `**/*.py`.

    Raises:
        ConfigurationError: there is no such folder.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {folder}")
    found = (file for file in folder.glob(mask) if file.suffix == ".py" and file.is_file())
    return sorted(file for file in found if not any(part[0] in "._" for part in file.relative_to(folder).parts))


def _there(path: str) -> Path:
    file = Path(path.partition(":")[0])
    if not file.is_file():
        raise ConfigurationError(f"there is no file {file}")
    return file.resolve()


def _is_service(one: Any, module: str) -> bool:
    return isinstance(one, type) and issubclass(one, BaseService) and one.__module__ == module


def _free(name: str) -> str:
    """A name that no other module has: a service's file may well be called as one of Python's own."""
    free, number = name, 1
    while free in sys.modules:
        free, number = f"{name}_{number}", number + 1
    return free


def _executed(name: str, file: Path) -> ModuleType:
    # Not by the module's loader: it takes compiled code for fresh that is of the same second.
    before = sys.modules.get(name)
    places = list(before.__path__) if before is not None and hasattr(before, "__path__") else None
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=places)
    if spec is None:
        raise ConfigurationError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)
    except BaseException:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        raise
    return module
