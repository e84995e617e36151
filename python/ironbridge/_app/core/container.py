"""The container: it makes each dependency once, with what it needs itself."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from ..errors import CyclicDependencyError, DependencyError
from .providing import NOTHING, ProviderSpec, Token, is_named_type, key_name

T = TypeVar("T")

# Types of plain values: made from nothing they would be wrong in silence.
_PLAIN = (str, bytes, int, float, complex, bool, list, dict, set, frozenset, tuple, object, type(None))


@dataclass(frozen=True, slots=True)
class _Need:
    """One parameter of what is made."""

    name: str
    keys: tuple[Any, ...]
    default: Any
    is_optional: bool


class Container:
    """Holds what is provided, each thing once.

    A class that nobody has registered is made of what its constructor's annotations say. A parameter with a default
    takes it when nothing is registered for its type; `Optional[X]` takes `None` then. `Annotated[X, key]` asks for
    `key`.

    Args:
        app: whose providers it takes; anything with `providers`.

    Raises:
        DependencyError: two providers have the same key.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self.instances_map: dict[Any, Any] = {}
        self._specs: dict[Any, ProviderSpec] = {}
        self._making: list[Any] = []
        for given in app.providers:
            spec = given if isinstance(given, ProviderSpec) else ProviderSpec(provide=given, use_class=given)
            self._specs[_plain_key(spec.provide)] = spec
        self.register(self, Container)

    # ---- what is there -----------------------------------------------------------------------------------

    def register(self, instance: Any, bind_to: Any) -> None:
        """Provides an instance under a key from now on."""
        self.instances_map[_plain_key(bind_to)] = instance

    def get_by_type(self, type_: type[T]) -> T:
        """The instance of a type; it is made now if it is not there.

        Raises:
            DependencyError: it cannot be.
        """
        return cast("T", self.get_or_register_token_or_type(type_))

    def get_by_token(self, token: Token[T]) -> T:
        """The instance under a token.

        Raises:
            DependencyError: nothing is registered under it, and its type cannot be made.
        """
        return cast("T", self.get_or_register_token_or_type(token))

    def get_or_register_token_or_type(self, key: Any) -> Any:
        """The instance under a key, or of a type; it is made now if it is not there.

        Raises:
            DependencyError: it cannot be.
        """
        key = _plain_key(key)
        if key in self.instances_map:
            return self.instances_map[key]
        spec = self._specs.get(key)
        with self._while_making(key):
            made = self._from_spec(spec) if spec is not None else self._from_type(key)
            if inspect.isawaitable(made):
                _dispose(made)
                raise DependencyError(
                    f"{key_name(key)} is provided by an async factory, which runs at start-up: it is not there yet"
                )
            self.instances_map[key] = made
        return made

    # ---- start-up ----------------------------------------------------------------------------------------

    async def fill_providers(self, after_interceptors: bool) -> None:
        """Makes all that is provided before the interceptors begin, or after.

        Raises:
            DependencyError: something cannot be made; the message tells what needs it.
        """
        for key, spec in self._specs.items():
            if spec.after_interceptors == after_interceptors:
                await self.provide(key)

    async def provide(self, key: Any) -> Any:
        """As :meth:`get_or_register_token_or_type`, waiting for async factories."""
        key = _plain_key(key)
        if key in self.instances_map:
            return self.instances_map[key]
        spec = self._specs.get(key)
        with self._while_making(key):
            if spec is None and not self._can_make(key):
                return self._from_type(key)
            function = _type_of(key) if spec is None else spec.use_class or spec.use_factory
            if spec is not None and spec.use_value is not NOTHING:
                made = spec.use_value
            else:
                assert function is not None
                arguments = {}
                for need in _needs(function):
                    found = await self._provided(need, function)
                    if found is not NOTHING:
                        arguments[need.name] = found
                made = function(**arguments)
                if inspect.isawaitable(made):
                    made = await made
            self.instances_map[key] = made
        return made

    async def _provided(self, need: _Need, of: Any) -> Any:
        key = self._chosen(need, of)
        return key if key is NOTHING or key is None else await self.provide(key)

    # ---- making ------------------------------------------------------------------------------------------

    @contextmanager
    def _while_making(self, key: Any) -> Iterator[None]:
        if key in self._making:
            cycle = [*self._making[self._making.index(key) :], key]
            raise CyclicDependencyError(f"these need each other: {' → '.join(key_name(one) for one in cycle)}")
        self._making.append(key)
        try:
            yield
        finally:
            self._making.pop()

    def _from_spec(self, spec: ProviderSpec) -> Any:
        if spec.use_value is not NOTHING:
            return spec.use_value
        function = spec.use_class or spec.use_factory
        assert function is not None
        return self.call(function)

    def call(self, function: Callable[..., T]) -> T:
        """Calls a function, or makes a class, with its parameters provided.

        Raises:
            DependencyError: one of them cannot be.
        """
        arguments = {}
        for need in _needs(function):
            key = self._chosen(need, function)
            if key is not NOTHING:
                arguments[need.name] = None if key is None else self.get_or_register_token_or_type(key)
        return function(**arguments)

    def _chosen(self, need: _Need, of: Any) -> Any:
        """The key that a parameter takes: `NOTHING` for its default, `None` for nothing."""
        for key in need.keys:
            if key in self.instances_map or key in self._specs:
                return key
        if need.default is not NOTHING:
            return NOTHING
        for key in need.keys:
            if self._can_make(key):
                return key
        if need.is_optional:
            return None
        told = " or ".join(key_name(key) for key in need.keys) or "something without a type"
        raise DependencyError(
            f"{key_name(of)} needs {need.name!r}: {told}, for which nothing is registered and which cannot be made; "
            f"add ProviderSpec(provide=…) for it to the providers{self._told()}"
        )

    def _can_make(self, key: Any) -> bool:
        type_ = _type_of(key)
        return (
            inspect.isclass(type_)
            and type_ not in _PLAIN
            and not inspect.isabstract(type_)
            and not getattr(type_, "_is_protocol", False)
        )

    def _from_type(self, key: Any) -> Any:
        if not self._can_make(key):
            raise DependencyError(
                f"nothing is registered for {key_name(key)}, and it cannot be made of itself; "
                f"add ProviderSpec(provide=…) for it to the providers{self._told()}"
            )
        return self.call(_type_of(key))

    def _told(self) -> str:
        chain = [key_name(key) for key in self._making]
        return f" (while making {' → '.join(chain)})" if chain else ""


def _plain_key(key: Any) -> Any:
    """`Token[Type]` is the type, and `Annotated[Type, key]` the key."""
    named = is_named_type(key)
    if named is not NOTHING:
        return named
    if typing.get_origin(key) is typing.Annotated:
        return _plain_key(key.__metadata__[0])
    return key


def _type_of(key: Any) -> Any:
    key = key.type_ if isinstance(key, Token) else key
    return typing.get_origin(key) or key


def _needs(function: Callable[..., Any]) -> list[_Need]:
    """The parameters of a function, or of a class's constructor, that can be provided."""
    target = function.__init__ if inspect.isclass(function) else function
    if inspect.isclass(function) and target is object.__init__:
        return []
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []
    hints = _hints(target)
    needs = []
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        annotation = hints.get(parameter.name, parameter.annotation)
        default = NOTHING if parameter.default is parameter.empty else parameter.default
        keys, is_optional = _keys(annotation)
        needs.append(_Need(parameter.name, keys, default, is_optional))
    return needs


def _hints(function: Any) -> dict[str, Any]:
    """Its annotations, with those that are texts read where they can be."""
    function = inspect.unwrap(getattr(function, "__func__", function))
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError:
        pass
    module = sys.modules.get(getattr(function, "__module__", ""), None)
    found = {}
    for name, annotation in getattr(function, "__annotations__", {}).items():
        if isinstance(annotation, str):
            annotation = getattr(module, annotation, annotation)
        found[name] = annotation
    return found


def _keys(annotation: Any) -> tuple[tuple[Any, ...], bool]:
    """What an annotation asks for, and whether it does without."""
    if annotation is inspect.Parameter.empty or annotation is Any:
        return (), False
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        parts = typing.get_args(annotation)
        keys = tuple(_plain_key(part) for part in parts if part is not type(None))
        return keys, len(keys) < len(parts)
    return (_plain_key(annotation),), False


def _dispose(awaitable: Awaitable[Any]) -> None:
    """Ends a coroutine that nobody will await, without a warning."""
    close = getattr(awaitable, "close", None)
    if callable(close):
        close()
