"""How the daemon finds the user's class again: by name where it can be imported, by value elsewhere.

A daemon is a fresh interpreter. What a module defines at its top level it imports there: under the
module's own name, or from the main file when that is where it stands. A class in a notebook, in an
`exec` or inside a function travels by value.
"""

from __future__ import annotations

import sys

from .. import _engine
from ..errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from .registration import Registration

# Where the main program's own definitions say that they stand.
MAIN = ("__main__", "__mp_main__")


def by_name(registration: Registration) -> dict[str, Any] | None:
    """Where the service's class and functions can be imported from; None when one of them cannot."""
    owner = None
    if registration.owner is not None:
        owner = _reference(registration.owner, _sample(registration))
        if owner is None:
            return None
    functions = {name: _reference(function, function) for name, function in registration.functions.items()}
    if None in functions.values():
        return None
    return {"owner": owner, "functions": functions}


def by_value(registration: Registration) -> dict[str, Any]:
    """The class and the functions themselves.

    Raises:
        ConfigurationError: cloudpickle is not installed, or something in them cannot be carried.
    """
    where = getattr(registration.owner, "__qualname__", None) or ", ".join(registration.functions)
    try:
        import cloudpickle  # type: ignore[import-untyped]
    except ImportError:
        raise ConfigurationError(
            f"{where} is not at the top level of a module, so it must travel to its daemon by value, "
            f"which needs the package cloudpickle: pip install cloudpickle (or move it to a module)"
        ) from None
    try:
        return {"value": cloudpickle.dumps((registration.owner, registration.functions))}
    except Exception as error:
        raise ConfigurationError(
            f"{where} cannot travel to its daemon by value: {type(error).__name__}: {error}; "
            f"move it to a module of its own"
        ) from error


def identity(registration: Registration) -> str:
    """The same for the same class, whichever program runs it: its file and name. `version` tells its code."""
    objects: list[Any] = list(registration.functions.values())
    if registration.owner is not None:
        objects.insert(0, registration.owner)
    samples = [_sample(registration) if isinstance(thing, type) else thing for thing in objects]
    parts = sorted(
        f"{_file(thing) if _reference(thing, sample) else 'value'}:{thing.__qualname__}"
        for thing, sample in zip(objects, samples, strict=True)
    )
    text = "+".join(parts)
    if len(text) <= 512:
        return text
    return f"{parts[0][:256]}+{len(parts) - 1}:{_engine.digest(text.encode())}"


def _sample(registration: Registration) -> Any:
    """A function of the class, whose code says which file it was written in."""
    from ..service import collect

    for endpoint in collect(registration.owner, {}):
        function = getattr(endpoint.function, "__func__", endpoint.function)
        while hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        if hasattr(function, "__code__"):
            return function
    return None


def _reference(thing: Any, sample: Any) -> dict[str, Any] | None:
    """Where `thing` can be imported from: `{"module" | "main", "qualname"}`, and more that may be needed."""
    module, qualname = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    loaded = sys.modules.get(module) if isinstance(module, str) else None
    if loaded is None or not qualname or "<" in qualname or walk(loaded, qualname) is not thing:
        return None
    code = getattr(sample, "__code__", None)
    if code is not None and code.co_filename.startswith("<") and not code.co_filename.startswith("<frozen"):
        return None  # made by `exec`, in a module that will not make it again
    if module not in MAIN:
        if getattr(loaded, "__spec__", None) is None:
            return None
        return {"module": module, "qualname": qualname, "file": getattr(loaded, "__file__", None)}
    spec = getattr(loaded, "__spec__", None)
    if spec is not None and spec.name not in MAIN:
        # python -m package.module
        return {"module": spec.name, "qualname": qualname, "as_main": True}
    file = main_file(loaded)
    return {"main": file, "qualname": qualname} if file else None


def main_file(main: ModuleType) -> str | None:
    """The main program's file, if it is one that can be run again."""
    import os

    file = getattr(main, "__file__", None)
    if not isinstance(file, str) or hasattr(main, "__ironbridge_by_value__"):
        return None
    path = os.path.abspath(file)
    return path if os.path.isfile(path) and not _interactive(main) else None


def _interactive(main: ModuleType) -> bool:
    # IPython's `%run` and its kernels put cells of their own into a main module that has a file.
    return hasattr(main, "get_ipython")


def walk(module: ModuleType, qualname: str) -> Any:
    """What stands at `qualname` in a module, or None."""
    found: Any = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def _file(thing: Any) -> str:
    import os

    module = sys.modules[thing.__module__]
    file = getattr(module, "__file__", None)
    return os.path.realpath(file) if isinstance(file, str) else str(thing.__module__)
