"""Ironbridge's hub, and services of the same text as the original's."""

from collections.abc import Callable
from functools import cache
from typing import Any

import hub_measures
from contract import Figures

from peers.aiofase_hub import serve

DISTRIBUTIONS = ("ironbridge",)
LIBRARY = "ironbridge.hub"

__all__ = ["DISTRIBUTIONS", "EXTRA", "serve"]


@cache
def measures() -> hub_measures.Measures:
    """Made when first asked for, in the client."""
    return hub_measures.Measures(LIBRARY)


def called(address: str, seconds: float) -> Figures:
    """A call waits for what the action returns."""

    def call(service: Any) -> Callable[[str], Any]:
        return lambda word: service.call("greeting", word, timeout=10)

    return measures().awaited(address, seconds, call)


EXTRA = {
    "hub-request": lambda address, seconds: measures().request(address, seconds),
    "hub-inflight": lambda address, seconds: measures().in_flight(address, seconds),
    "hub-call": called,
    "hub-broadcast": lambda address, seconds: measures().broadcast(address, seconds),
    "hub-noise": lambda address, seconds: measures().noise(address, seconds),
}
