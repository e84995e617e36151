"""Runs a program that was written for an original, unchanged.

    python -m ironbridge.compat program.py [arguments]
    python -m ironbridge.compat -m package.module [arguments]

`import metabridge` gives `ironbridge.bridge` there, and in the daemons and other Python processes that the program starts;
`from aiofase import MicroService` and `from aiofase.server import Server` give those of `ironbridge.hub`, and
`python -m ironbridge.compat -m aiofase.server` is a hub; `from amqp_fabric.amq_broker_connector import
AmqBrokerConnector` and the like give those of `ironbridge.fabric`; `from jararaca import Microservice` and the like
give those of `ironbridge.app`, and `from moleculer_py.broker import Broker` and the like those of `ironbridge.mesh`.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType

# The originals' import names, and the faces that stand in for them.
FACES = {
    "metabridge": "ironbridge.bridge",
    "aiofase": "ironbridge._hub.original",
    "aiofase.microservice": "ironbridge._hub.original",
    "aiofase.server": "ironbridge._hub.original",
    "amqp_fabric": "ironbridge._fabric.original",
    "amqp_fabric.abstract_service_api": "ironbridge._fabric.original",
    "amqp_fabric.amq_broker_connector": "ironbridge._fabric.original",
    "amqp_fabric.logging_amqp_handler": "ironbridge._fabric.original",
    "jararaca": "ironbridge.app",
    "jararaca.const": "ironbridge._app.const",
    "jararaca.core": "ironbridge.app",
    "jararaca.core.providers": "ironbridge.app",
    "jararaca.core.uow": "ironbridge.app",
    "jararaca.di": "ironbridge.app",
    "jararaca.helpers": "ironbridge.app.helpers",
    "jararaca.helpers.global_scheduler": "ironbridge.app.helpers.global_scheduler",
    "jararaca.helpers.global_scheduler.config": "ironbridge.app.helpers.global_scheduler.config",
    "jararaca.helpers.global_scheduler.controller": "ironbridge.app.helpers.global_scheduler.controller",
    "jararaca.helpers.global_scheduler.registry": "ironbridge.app.helpers.global_scheduler.registry",
    "jararaca.lifecycle": "ironbridge.app",
    "jararaca.messagebus": "ironbridge.app",
    "jararaca.messagebus.decorators": "ironbridge.app",
    "jararaca.messagebus.message": "ironbridge.app",
    "jararaca.messagebus.worker": "ironbridge.app",
    "jararaca.microservice": "ironbridge.app",
    "jararaca.observability": "ironbridge.app",
    "jararaca.observability.decorators": "ironbridge.app",
    "jararaca.persistence": "ironbridge.app",
    "jararaca.persistence.interceptors": "ironbridge.app",
    "jararaca.persistence.interceptors.aiosqa_interceptor": "ironbridge.app",
    "jararaca.persistence.pydantic_helpers": "ironbridge.app",
    "jararaca.persistence.utilities": "ironbridge.app",
    "jararaca.presentation": "ironbridge.app",
    "jararaca.presentation.decorators": "ironbridge.app",
    "jararaca.presentation.http_microservice": "ironbridge.app",
    "jararaca.presentation.server": "ironbridge.app",
    "jararaca.presentation.websocket": "ironbridge.app",
    "jararaca.presentation.websocket.context": "ironbridge.app",
    "jararaca.presentation.websocket.decorators": "ironbridge.app",
    "jararaca.reflect": "ironbridge.app",
    "jararaca.reflect.decorators": "ironbridge.app",
    "jararaca.scheduler": "ironbridge.app",
    "jararaca.scheduler.beat_worker": "ironbridge.app",
    "jararaca.scheduler.decorators": "ironbridge.app",
    "jararaca.tools": "ironbridge.app",
    "jararaca.tools.typescript": "ironbridge.app",
    "jararaca.tools.typescript.decorators": "ironbridge.app",
    "moleculer_py": "ironbridge._mesh.original",
    "moleculer_py.broker": "ironbridge._mesh.original",
    "moleculer_py.service": "ironbridge._mesh.original",
    "moleculer_py.services": "ironbridge._mesh.original",
    "moleculer_py.base_service": "ironbridge._mesh.original",
    "moleculer_py.decorators": "ironbridge._mesh.original",
    "moleculer_py.loadbalance": "ironbridge._mesh.original",
    "moleculer_py.registry": "ironbridge._mesh.original",
    "moleculer_py.context": "ironbridge._mesh.original",
    "moleculer_py.data": "ironbridge._mesh.original",
    "moleculer_py.models": "ironbridge._mesh.original",
}
_PACKAGES = {name.rpartition(".")[0] for name in FACES if "." in name}

_USAGE = "usage: python -m ironbridge.compat (program.py | -m module) [arguments]"


_installed = False


def install() -> None:
    """Makes the originals' import names give our faces in this process, also where one is installed."""
    global _installed
    if _installed:
        return
    from importlib import import_module
    from importlib.machinery import ModuleSpec

    class Finder:
        """Finds and loads a face by an original's name, when it is imported: programs pay for what they use."""

        def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
            return ModuleSpec(name, self, is_package=name in _PACKAGES) if name in FACES else None  # type: ignore[arg-type]

        def create_module(self, spec: ModuleSpec) -> None: ...

        def get_code(self, name: str) -> CodeType | None:
            # `-m aiofase.server` is a program, too.
            module = FACES[name]
            return compile(f"from {module} import main\nmain()", module, "exec") if name == "aiofase.server" else None

        def exec_module(self, module: ModuleType) -> None:
            # What stands here when this returns is what is imported: the face under its own name.
            sys.modules[module.__name__] = import_module(FACES[module.__name__])

    for original in FACES:
        sys.modules.pop(original, None)
    sys.meta_path.insert(0, Finder())
    _installed = True


def installed() -> bool:
    """Whether the originals' names are ours in this process."""
    return _installed


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code when there is nothing to run."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help") or (given[0] == "-m" and len(given) < 2):
        print(_USAGE, file=sys.stdout if given[:1] in (["-h"], ["--help"]) else sys.stderr)
        return 0 if given[:1] in (["-h"], ["--help"]) else 2
    import os
    import runpy

    install()
    # For what the program starts: servers' workers, and those that are started again when a file changes.
    children = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_children")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (children, os.environ.get("PYTHONPATH"))))
    if given[0] == "-m":
        sys.argv[:] = given[1:]
        runpy.run_module(given[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv[:] = given
        # What `python program.py` has in this place.
        if not sys.flags.safe_path:
            sys.path[0] = os.path.dirname(os.path.abspath(given[0]))
        runpy.run_path(given[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    # By its real name, so that there is one such module.
    from ironbridge.compat import main as run

    sys.exit(run())
