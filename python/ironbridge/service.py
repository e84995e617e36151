"""What a decorated class is: marked functions, the endpoints they become, and their one schema.

Every face's decorators leave the same :class:`Mark` on a function, so a class written for one face
can be served on any. The schema document is taken once, when the service starts; ``describe()``,
typed clients and the command line all read it.
"""

from __future__ import annotations

from . import _signatures
from .errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, TypeVar, overload

    F = TypeVar("F", bound="Callable[..., Any] | staticmethod[Any, Any] | classmethod[Any, Any, Any]")

__all__ = ["Endpoint", "Mark", "action", "collect", "mark", "schema", "task"]

SCHEMA_VERSION = 1
_ATTRIBUTE = "__ironbridge__"


class Mark:
    """What a decorator leaves on a function.

    Attributes:
        kind: ``"action"``, ``"event"`` or ``"task"``.
        names: the names it answers to, the first one foremost; empty for the function's own name.
    """

    __slots__ = ("kind", "names")

    def __init__(self, kind: str = "action", names: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.names = names

    def __repr__(self) -> str:
        return f"Mark({self.kind!r}, {self.names!r})"

    def __reduce__(self) -> tuple[type[Mark], tuple[str, tuple[str, ...]]]:
        return Mark, (self.kind, self.names)


def mark(function: F, name: str | None = None, kind: str = "action") -> F:
    """Marks a function (or a static or class method) as an endpoint, and returns it.

    Raises:
        ConfigurationError: it is no function, or the name cannot be an endpoint's.
    """
    inner = getattr(function, "__func__", function)
    if not callable(inner) or isinstance(inner, type):
        raise ConfigurationError(f"only functions and methods can be endpoints, not {function!r}")
    names = () if name is None else (checked_name(name),)
    before = inner.__dict__.get(_ATTRIBUTE) if hasattr(inner, "__dict__") else None
    if before is not None and before.kind == kind:
        names += tuple(known for known in before.names if known not in names)
    setattr(inner, _ATTRIBUTE, Mark(kind, names))
    return function


def mark_of(member: object) -> Mark | None:
    """The mark on a function, static method or class method."""
    found = getattr(getattr(member, "__func__", member), _ATTRIBUTE, None)
    return found if isinstance(found, Mark) else None


def checked_name(name: object) -> str:
    """The name, if it can be an endpoint's.

    Raises:
        ConfigurationError: it is not a string of 1 to 255 printable characters.
    """
    if not isinstance(name, str) or not 0 < len(name) <= 255 or not name.isprintable():
        raise ConfigurationError(f"an endpoint's name is 1 to 255 printable characters, not {name!r}")
    return name


if TYPE_CHECKING:

    @overload
    def action(target: F) -> F: ...
    @overload
    def action(target: str | None = None, *, name: str | None = None) -> Callable[[F], F]: ...


def action(target: Any = None, *, name: str | None = None) -> Any:
    """Marks a method or function as an action: ``@action``, ``@action("x")`` or ``@action(name="x")``.

    Raises:
        ConfigurationError: what is decorated is no function.
    """
    if target is None or isinstance(target, str):
        chosen = name if target is None else target
        return lambda function: mark(function, chosen)
    return mark(target, name)


if TYPE_CHECKING:

    @overload
    def task(target: F) -> F: ...
    @overload
    def task(target: str | None = None, *, name: str | None = None) -> Callable[[F], F]: ...


def task(target: Any = None, *, name: str | None = None) -> Any:
    """Marks a method as a task, which starts when its service does: `@task`, `@task("x")` or `@task(name="x")`.

    Raises:
        ConfigurationError: what is decorated is no function.
    """
    if target is None or isinstance(target, str):
        chosen = name if target is None else target
        return lambda function: mark(function, chosen, "task")
    return mark(target, name, "task")


class Endpoint:
    """One function of a service that others may call.

    Attributes:
        name: the name it answers to first.
        aliases: further names.
        attribute: its name in the class; for a registered function, `name` again.
        kind: ``"instance"``, ``"static"``, ``"class"`` or ``"function"``.
        function: what is called; for an instance method, the plain function in the class.
        coroutine: whether it is an ``async def``.
    """

    __slots__ = ("aliases", "attribute", "coroutine", "function", "kind", "name")

    def __init__(
        self, name: str, aliases: tuple[str, ...], attribute: str, kind: str, function: Callable[..., Any]
    ) -> None:
        self.name = name
        self.aliases = aliases
        self.attribute = attribute
        self.kind = kind
        self.function = function
        self.coroutine = _signatures.is_coroutine(function)


def collect(owner: type | None, functions: Mapping[str, Callable[..., Any]], kind: str = "action") -> list[Endpoint]:
    """The endpoints of a class (its marked methods, inherited ones too) and of registered functions.

    An endpoint answers to its given names and, where no other endpoint claims it, to its
    attribute's name. `kind` says which marks count: ``"action"`` or ``"task"``.

    Raises:
        ConfigurationError: two endpoints are given the same name.
    """
    found: list[tuple[tuple[str, ...], str, str, Callable[..., Any]]] = []
    if owner is not None:
        found += [
            (given.names or (attribute,), attribute, *_bound(owner, attribute))
            for attribute, given in _marked(owner).items()
            if given.kind == kind
        ]
    found += [((name,), name, "function", function) for name, function in functions.items()]
    taken: dict[str, str] = {}
    for names, attribute, _, _ in found:
        for name in names:
            if name in taken:
                raise ConfigurationError(
                    f"two endpoints are named {name!r}: {taken[name]!r} and {attribute!r}; "
                    f"give one of them another name"
                )
            taken[name] = attribute
    return [
        Endpoint(names[0], names[1:] + ((attribute,) if attribute not in taken else ()), attribute, kind, function)
        for names, attribute, kind, function in found
    ]


def _marked(owner: type) -> dict[str, Mark]:
    """The marks by attribute, in the order of definition; an override keeps its base's mark."""
    marks: dict[str, Mark] = {}
    for base in reversed(owner.__mro__):
        for attribute, member in vars(base).items():
            given = mark_of(member)
            if given is not None:
                marks[attribute] = given
            elif attribute in marks and not callable(getattr(member, "__func__", member)):
                del marks[attribute]
    return marks


def _bound(owner: type, attribute: str) -> tuple[str, Callable[..., Any]]:
    """An attribute's kind, and what to call."""
    for base in owner.__mro__:
        member = vars(base).get(attribute)
        if member is not None:
            kind = {staticmethod: "static", classmethod: "class"}.get(type(member), "instance")
            return kind, member if kind == "instance" else getattr(owner, attribute)
    raise ConfigurationError(f"{owner.__qualname__} has no attribute {attribute!r}")


def schema(
    service: str, owner: type | None, endpoints: Iterable[Endpoint], classes: Iterable[str] = ()
) -> dict[str, Any]:
    """The schema document. An endpoint's ``id`` is what calls carry; an alias has one of its own."""
    entries = list(endpoints)
    described: list[dict[str, Any]] = []
    for number, endpoint in enumerate(entries):
        described.append(
            {
                "id": number,
                "name": endpoint.name,
                "attribute": endpoint.attribute,
                "kind": endpoint.kind,
                "coroutine": endpoint.coroutine,
                "doc": _signatures.docstring(endpoint.function),
                **_signatures.signature(endpoint.function, skip_first=endpoint.kind == "instance"),
            }
        )
    for endpoint in entries:
        for alias in endpoint.aliases:
            described.append(
                {
                    "id": len(described),
                    "name": alias,
                    "alias_of": endpoint.name,
                    "attribute": endpoint.attribute,
                    "kind": endpoint.kind,
                    "coroutine": endpoint.coroutine,
                }
            )
    return {
        "version": SCHEMA_VERSION,
        "service": service,
        "doc": _signatures.docstring(owner) if owner is not None else None,
        "constructor": {"parameters": _signatures.constructor(owner)},
        "endpoints": described,
        "classes": sorted(classes),
    }


def pairs(document: dict[str, Any], endpoints: Iterable[Endpoint]) -> list[tuple[dict[str, Any], Endpoint]]:
    """Each entry of a schema document, in the order of their numbers, with the endpoint it describes."""
    by_name = {endpoint.name: endpoint for endpoint in endpoints}
    return [(entry, by_name[entry.get("alias_of", entry["name"])]) for entry in document["endpoints"]]


def encode(document: dict[str, Any]) -> bytes:
    """The document's canonical JSON: sorted keys, no spaces. Equal documents, equal bytes."""
    # Importing `json` would be a sixth of a daemon's time to start.
    from _json import encode_basestring

    def text(value: object) -> str:
        if isinstance(value, str):
            return encode_basestring(value)
        if isinstance(value, dict):
            return "{" + ",".join(f"{encode_basestring(key)}:{text(value[key])}" for key in sorted(value)) + "}"
        if isinstance(value, (list, tuple)):
            return "[" + ",".join(map(text, value)) + "]"
        return "null" if value is None else repr(value).lower()

    return text(document).encode()
