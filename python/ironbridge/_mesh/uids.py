"""Ids of calls and events: the engine's own, or those of the user's generator."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .errors import BrokerOptionsError


def uids_of(generator: Any) -> Callable[[Any], str]:
    """What makes ids: called with the broker.

    Raises:
        BrokerOptionsError: the generator cannot be called, or, later, gives nothing.
    """
    if generator is None:
        return lambda broker: str(broker._node.fresh_id())
    if not callable(generator):
        raise BrokerOptionsError(f"uid_generator={generator!r}: give a function that gives an id")
    takes_broker = _takes_one(generator)

    def made(broker: Any) -> str:
        given = generator(broker) if takes_broker else generator()
        if given is None or not (uid := str(given)):
            raise BrokerOptionsError(
                f"the uid_generator has given {given!r}: an id is a text that no other is equal to"
            )
        return uid

    return made


def _takes_one(generator: Callable[..., Any]) -> bool:
    """Whether it takes the broker, as Moleculer's do; most of Python's take nothing."""
    try:
        parameters = inspect.signature(generator).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(
        one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) for one in parameters
    )
