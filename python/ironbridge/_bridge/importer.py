"""In the daemon: imports the user's modules, each until it reaches `run()`."""

from __future__ import annotations

import sys

from ..errors import ConfigurationError
from . import registration
from .origin import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


class NotFound(ConfigurationError):
    """The module no longer has it at its top level: the parent sends it by value instead."""


def load(service: str, found: dict[str, Any]) -> tuple[type | None, dict[str, Callable[..., Any]]]:
    """The service's class and functions, as `origin` has described them.

    Raises:
        NotFound: a module was imported and does not have what it should.
        Exception: whatever the user's module raises.
    """
    if "value" in found:
        return _by_value(found["value"])
    with _Importing(service):
        owner = _resolve(found["owner"]) if found["owner"] else None
        functions = {name: _resolve(where) for name, where in found["functions"].items()}
    return owner, functions


def _by_value(value: bytes) -> tuple[type | None, dict[str, Callable[..., Any]]]:
    import pickle

    owner, functions = pickle.loads(value)
    # What stood in the parent's main module says so still: whoever looks there finds it.
    main: Any = sys.modules["__main__"]
    main.__ironbridge_by_value__ = True
    if owner is not None and owner.__module__ == "__main__":
        setattr(main, owner.__name__, owner)
    return owner, functions


class _Importing:
    """While it lasts, `run()` of this service ends the module that calls it, which stays imported."""

    def __init__(self, service: str) -> None:
        self.service = service

    def __enter__(self) -> None:
        registration._importing = self.service
        sys.meta_path.insert(0, self)

    def __exit__(self, *failure: object) -> None:
        sys.meta_path.remove(self)
        registration._importing = None

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """What the other finders find, with a loader for which `run()` is the module's end."""
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec = find(name, path, target)
            if spec is not None:
                _end_at_run(spec.loader)
                return spec
        return None


def _end_at_run(loader: Any) -> None:
    execute = getattr(loader, "exec_module", None)
    if execute is None:
        return

    def until_run(module: ModuleType) -> None:
        try:
            execute(module)
        except registration.EndOfImport:
            pass

    try:
        loader.exec_module = until_run
    except AttributeError:
        pass  # a built-in module's loader, which runs nothing of the user's


def _resolve(where: dict[str, Any]) -> Any:
    if "main" in where:
        module = _main(where["main"])
    else:
        module = _module(where["module"], where.get("file"))
        if "as_main" in where:
            sys.modules["__main__"] = module
    found = walk(module, where["qualname"])
    if found is None:
        raise NotFound(
            f"{where['qualname']} is not at the top level of {getattr(module, '__file__', module.__name__)} "
            f"when that is imported (is it under `if __name__ == '__main__':`, or after run()?)"
        )
    return found


def _module(name: str, file: str | None) -> ModuleType:
    try:
        __import__(name)
    except registration.EndOfImport:
        pass
    except ModuleNotFoundError as error:
        # The parent has it from a place that no import looks at: a test's loader, a plugin's.
        if file is None or not error.name or not f"{name}.".startswith(f"{error.name}."):
            raise
        _from_file(name, file)
    if name not in sys.modules:
        raise NotFound(f"module {name!r} is not there after its import")
    return sys.modules[name]


def _from_file(name: str, file: str) -> None:
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise NotFound(f"module {name!r} cannot be loaded from {file}")
    _end_at_run(spec.loader)
    sys.modules[name] = module = module_from_spec(spec)
    spec.loader.exec_module(module)


def _main(path: str) -> ModuleType:
    """The parent's main file as a module whose name is not `__main__`, so that its guarded part stays out.

    It is imported under its own name where an import of that name would find this very file: then its
    classes are the same ones for whoever imports it.
    """
    known = sys.modules.get("__mp_main__")
    if known is not None:
        return known
    import os
    from importlib.machinery import PathFinder, SourceFileLoader

    name = os.path.splitext(os.path.basename(path))[0]
    if name.isidentifier() and name not in sys.modules and name != "__main__":
        spec = PathFinder.find_spec(name)
        if spec is not None and spec.origin is not None and os.path.realpath(spec.origin) == os.path.realpath(path):
            return _as_main(name, lambda: __import__(name))
    loader = SourceFileLoader("__mp_main__", path)
    module = type(sys)("__mp_main__")
    module.__file__ = path
    module.__loader__ = loader

    def execute() -> None:
        _end_at_run(loader)
        loader.exec_module(module)

    sys.modules["__mp_main__"] = module
    return _as_main("__mp_main__", execute)


def _as_main(name: str, execute: Callable[[], object]) -> ModuleType:
    try:
        execute()
    except registration.EndOfImport:
        pass
    module = sys.modules[name]
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module
    return module
