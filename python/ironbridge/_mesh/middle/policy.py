"""What a feature is told: its defaults, the broker's option, and what one action or event says differently."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import BrokerOptionsError, ServiceSchemaError
from ..schema import snake

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

P = TypeVar("P", bound="DataclassInstance")


def of_broker(kind: type[P], given: Any, option: str) -> P:
    """The policy that a broker's option tells of.

    Args:
        kind: a dataclass whose fields all have defaults.
        given: a dict in Python's names or Moleculer's; `True` turns the feature on as it is; `None` and `False` do not.
        option: the option's name, for errors.

    Raises:
        BrokerOptionsError: it has something that the policy does not have, or of another kind.
    """
    told = _told(given)
    if told is None:
        raise BrokerOptionsError(f"{option}={given!r}: give a dict with some of {_names(kind)}")
    policy = kind()
    for name, value in told.items():
        if not _fits(policy, name, value):
            raise BrokerOptionsError(f"{option}: {name}={value!r} is not one of {_names(kind)}")
    return replace(policy, **told)


def of_schema(policy: P, given: Any, schema: Any) -> P:
    """The policy for one action or event: the broker's, but for what its schema says.

    What another node tells is used where it makes sense, and is left out where it does not.

    Raises:
        ServiceSchemaError: an action or event of this node has something that the policy does not have.
    """
    if not given:
        return policy
    told = _told(given) or {}
    fitting = {name: value for name, value in told.items() if _fits(policy, name, value)}
    if len(fitting) < len(told) and schema.service is not None:
        wrong = ", ".join(f"{name}={told[name]!r}" for name in told if name not in fitting)
        raise ServiceSchemaError(f"{schema.name}: {wrong} is not one of {_names(type(policy))}")
    return replace(policy, **fitting)


def check(policy: Any, service: Any, name: str) -> None:
    """Looks at what a service's actions and events say of a policy, under that name.

    Raises:
        ServiceSchemaError: one of them has something that the policy does not have.
    """
    for schema in (*service.action_schemas, *service.event_schemas):
        of_schema(policy, getattr(schema, name, None), schema)


def _told(given: Any) -> dict[str, Any] | None:
    if given is None or isinstance(given, bool):
        return {"enabled": True} if given else {}
    if not isinstance(given, Mapping):
        return None
    return {snake(str(name)): value for name, value in given.items()}


def _names(kind: type[P]) -> str:
    return ", ".join(one.name if callable(one.default) else f"{one.name} ({one.default})" for one in fields(kind))


def _fits(policy: P, name: str, value: Any) -> bool:
    if name not in {one.name for one in fields(policy)}:
        return False
    usual = getattr(policy, name)
    if callable(usual):
        return callable(value)
    if isinstance(usual, bool) or isinstance(value, bool):
        return isinstance(usual, bool) and isinstance(value, bool)
    return isinstance(value, int | float) and math.isfinite(value) and value >= 0
