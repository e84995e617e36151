"""Services: classes with marked methods, or schemas as Moleculer's."""

from __future__ import annotations

import inspect
import logging
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from .. import _engine
from .decorators import ACTION, CHANNEL, EVENT
from .errors import ServiceSchemaError
from .mixing import merged
from .registry import versioned
from .schema import ActionSchema, EventSchema, action_of, event_of

LIFECYCLE = ("merged", "created", "started", "stopped")
_MARKS = (("actions", ACTION), ("events", EVENT), ("channels", CHANNEL))


class BaseService:
    """A service. It registers itself with its broker; its actions are named `SERVICE.ACTION`.

        class Greeter(BaseService):
            def __init__(self, broker):
                super().__init__(broker, "greeter")

            @action()
            async def hello(self, params):
                return f"Hello, {params['name']}!"

    Args:
        broker: whose it is.
        name: its name; the class's attribute `name` unless given.
        settings: what its node tells of it; what `settings["$secureSettings"]` lists is kept here.
        version: a number or a text, in front of its actions' names: `v2.greeter.hello`.

    Class attributes, all optional: `name`, `version`, `settings`, `metadata`, `dependencies`, `mixins`, `hooks`,
    `methods`, `actions`, `events`. Methods called when their time comes, plain or `async def`: `merged(schema)`,
    `created()`, `started()`, `stopped()`.

    Raises:
        ServiceSchemaError: it is not written as services are.
    """

    name: str = ""
    version: Any = None
    settings: ClassVar[Mapping[str, Any]] = {}
    metadata: ClassVar[Mapping[str, Any]] = {}
    dependencies: ClassVar[Any] = ()
    mixins: ClassVar[Sequence[Any]] = ()
    hooks: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self,
        broker: Any,
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
        version: Any = None,
        *,
        schema: Mapping[str, Any] | None = None,
    ) -> None:
        self.broker = broker
        own = dict(schema) if schema is not None else self._own_schema()
        if name is not None:
            own["name"] = name
        if version is not None:
            own["version"] = version
        if settings is not None:
            own["settings"] = {**(own.get("settings") or {}), **settings}
        self.schema = merged(own, schema_of)
        self._take(self.schema)
        self.logger = logging.getLogger(f"ironbridge.mesh.{self.full_name}")
        self._call_own("merged", self.schema)
        self.action_schemas = self._read_actions()
        self.event_schemas = self._read_events()
        self.actions = _OwnActions(self)
        broker._take_service(self)
        self._call_own("created")
        broker._service_made(self)

    def _own_schema(self) -> dict[str, Any]:
        """The schema that a class is."""
        kind = type(self)
        own = {key: getattr(kind, key) for key in ("version", "metadata", "dependencies", "mixins", "hooks")}
        own |= {"name": kind.name, "settings": kind.settings}
        if isinstance(methods := getattr(kind, "methods", None), Mapping):
            own["methods"] = methods
        for key, mark in _MARKS:
            members = kind.__dict__.get(key)
            found: dict[str, Any] = dict(members) if isinstance(members, Mapping) else {}
            for function in _marked(kind, mark):
                told = dict(getattr(function, mark))
                name = told.pop("name")
                found[name] = {**told, "handler": function}
            own[key] = found
        return own

    def _take(self, schema: Mapping[str, Any]) -> None:
        name = schema.get("name")
        if not isinstance(name, str) or not name:
            raise ServiceSchemaError(
                f"{type(self).__name__}: a service needs a name: super().__init__(broker, 'name'), or name = 'name'"
            )
        settings = dict(schema.get("settings") or {})
        self.name, self.version = name, schema.get("version")
        self.settings = settings  # type: ignore[misc]
        self.metadata = dict(schema.get("metadata") or {})  # type: ignore[misc]
        self.dependencies = schema.get("dependencies") or ()  # type: ignore[misc]
        self.hooks = schema.get("hooks") or {}  # type: ignore[misc]
        self.full_name = name if settings.get("$noVersionPrefix") else versioned(name, self.version)
        for method, function in (schema.get("methods") or {}).items():
            function = function.get("handler") if isinstance(function, Mapping) else function
            if method in ("name", "version", "settings", "schema", "broker", "actions", "logger"):
                raise ServiceSchemaError(f"{self.full_name}: a method cannot be called {method!r}")
            setattr(self, method, bound(self, function))

    def _call_own(self, hook: str, *arguments: Any) -> None:
        for function in _functions(self, hook):
            function(*arguments)

    def lifecycle(self, hook: str) -> list[Callable[..., Any]]:
        """What is to be called at `started` or `stopped`, in order."""
        return _functions(self, hook)

    def _read_actions(self) -> list[ActionSchema]:
        found = []
        for raw_name, told in (self.schema.get("actions") or {}).items():
            if told is False:
                continue
            told = {"handler": told} if callable(told) else dict(told)
            if not callable(told.get("handler")):
                raise ServiceSchemaError(f"{self.full_name}: the action {raw_name!r} has no handler")
            prefixed = not self.settings.get("$noServiceNamePrefix")
            one = action_of(f"{self.full_name}.{raw_name}" if prefixed else raw_name, told)
            one.raw_name, one.service = raw_name, self
            one.handler = bound(self, told["handler"])
            one.takes_context = takes_context(told["handler"], self.by_schema)
            if one.cache is None and "$cache" in self.settings:
                one.cache = self.settings["$cache"]
            found.append(one)
        return found

    def _read_events(self) -> list[EventSchema]:
        found = []
        for name, told in (self.schema.get("events") or {}).items():
            told = {"handler": told} if callable(told) or isinstance(told, list) else dict(told)
            one = event_of(name, told)
            one.service = self
            handlers = told.get("handler")
            handlers = handlers if isinstance(handlers, list) else [handlers]
            if not all(callable(handler) for handler in handlers):
                raise ServiceSchemaError(f"{self.full_name}: the event {name!r} has no handler")
            if len(handlers) == 1:
                one.handler = bound(self, handlers[0])
                one.takes_context = takes_context(handlers[0], self.by_schema)
            else:
                one.handler, one.takes_context = _several(self, handlers), True
            found.append(one)
        return found

    @property
    def by_schema(self) -> bool:
        """Whether it was made of a schema, whose handlers take contexts as Moleculer's do."""
        return type(self) is Service

    def told(self) -> dict[str, Any]:
        """What other nodes are told of it."""
        secure = set(self.settings.get("$secureSettings") or ()) | {"$secureSettings"}
        told: dict[str, Any] = {"name": self.name, "fullName": self.full_name}
        if self.version is not None:
            told["version"] = self.version
        told["settings"] = {key: value for key, value in self.settings.items() if key not in secure}
        told["metadata"] = dict(self.metadata)
        public = (one for one in self.action_schemas if one.visibility != "private")
        told["actions"] = {one.name: one.told() for one in public}
        told["events"] = {one.name: one.told() for one in self.event_schemas}
        return told

    async def wait_for_services(self, names: Any, timeout: float = 0, interval: float | None = None) -> None:
        """Waits until services are there: see the broker's method."""
        await self.broker.wait_for_services(names, timeout, interval)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.full_name!r}>"


class Service(BaseService):
    """A service that a schema makes: see `Broker.create_service`."""


class _OwnActions:
    """`service.actions.NAME(params)`: an action of its own, private ones too, past the registry."""

    def __init__(self, service: BaseService) -> None:
        self._service = service

    def __getattr__(self, name: str) -> Callable[..., Any]:
        for one in self._service.action_schemas:
            if one.raw_name == name:
                return self._call(one)
        raise AttributeError(f"{self._service.full_name} has no action {name!r}")

    def _call(self, schema: ActionSchema) -> Callable[..., Any]:
        broker = self._service.broker

        async def call(params: Any = None, **options: Any) -> Any:
            return await broker._call_own(schema, params, options)

        return call


def schema_of(mixin: Any) -> Mapping[str, Any]:
    """The schema of a mixin: itself, or that of a class."""
    if isinstance(mixin, Mapping):
        return mixin
    if isinstance(mixin, type):
        own: dict[str, Any] = {}
        for key in (
            "name",
            "version",
            "settings",
            "metadata",
            "dependencies",
            "mixins",
            "hooks",
            "methods",
        ):
            value = getattr(mixin, key, None)
            if value is not None and not callable(value) and value not in ("", (), {}):
                own[key] = value
        for key, mark in _MARKS:
            members = mixin.__dict__.get(key)
            found: dict[str, Any] = dict(members) if isinstance(members, Mapping) else {}
            for function in _marked(mixin, mark):
                told = dict(getattr(function, mark))
                name = told.pop("name")
                found[name] = {**told, "handler": function}
            if found:
                own[key] = found
        for hook in LIFECYCLE:
            function = mixin.__dict__.get(hook)
            if function is not None:
                own[hook] = function
        return own
    raise ServiceSchemaError(f"a mixin is a schema or a class, not {type(mixin).__name__}")


def _marked(kind: type, mark: str) -> list[Any]:
    """The class's functions with a mark; an override without one is the same action still."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        for name, value in base.__dict__.items():
            if hasattr(value, mark):
                found[name] = value
            elif name in found and callable(value):
                function = value
                if not hasattr(function, mark):
                    setattr(function, mark, getattr(found[name], mark))
                found[name] = function
    return list(found.values())


def _functions(service: BaseService, hook: str) -> list[Callable[..., Any]]:
    told = service.schema.get(hook)
    listed = told if isinstance(told, list) else [told] if callable(told) else []
    functions = [bound(service, function) for function in listed]
    own = getattr(type(service), hook, None)
    if own is not None and callable(own) and not service.by_schema:
        functions.insert(len(functions) if hook != "stopped" else 0, own.__get__(service))
    return functions


def bound(service: BaseService, function: Any) -> Any:
    """A function of a class or schema, with the service as its first argument where it has room for one."""
    if inspect.ismethod(function) or not inspect.isfunction(function):
        return function
    names = list(inspect.signature(function).parameters)
    if names and (names[0] == "self" or getattr(type(service), function.__name__, None) is function):
        return function.__get__(service)
    return function


def _several(service: BaseService, handlers: list[Any]) -> Callable[..., Any]:
    bound = [(bound(service, one), takes_context(one, service.by_schema)) for one in handlers]

    async def all_of_them(ctx: Any) -> None:
        for handler, takes in bound:
            value = handler(ctx if takes else ctx.params)
            if hasattr(value, "__await__"):
                await value

    return all_of_them


def takes_context(handler: Any, by_default: bool = False) -> bool:
    """Whether a handler takes a context: its parameter is annotated as a `Context`, or called `ctx`; in a schema, always."""
    function = inspect.unwrap(getattr(handler, "__func__", handler))
    try:
        parameters = [one for one in inspect.signature(function).parameters.values() if one.name != "self"]
    except (TypeError, ValueError):
        return by_default
    if not parameters:
        return by_default
    annotation = parameters[0].annotation
    if by_default or annotation is inspect.Parameter.empty:
        return by_default or parameters[0].name == "ctx"
    if isinstance(annotation, str):
        try:
            annotation = typing.get_type_hints(function).get(parameters[0].name, annotation)
        except Exception:  # a name that is only there for type checkers
            return str(annotation).rpartition(".")[2].strip("'\"") == "Context"
    if annotation is typing.Any:
        return parameters[0].name == "ctx"
    return isinstance(annotation, type) and issubclass(annotation, _engine.MeshContext)
