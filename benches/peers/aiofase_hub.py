"""aiofase and its hub."""

import threading
from collections.abc import Callable
from functools import cache

import hub_measures
from contract import Figures

DISTRIBUTIONS = ("aiofase", "pyzmq")
LIBRARY = "aiofase"


@cache
def measures() -> hub_measures.Measures:
    """Made when first asked for, in the client."""
    return hub_measures.Measures(LIBRARY)


def serve(address: str, ready: Callable[[], None]) -> None:
    """Nothing: each measure has a hub of its own."""
    ready()
    threading.Event().wait()


def awaited(address: str, seconds: float) -> Figures:
    """Its request waits for what the action returns."""
    return measures().awaited(
        address, seconds, lambda service: lambda word: service.request_action("greeting", word, timeout=10)
    )


EXTRA = {
    "hub-request": lambda address, seconds: measures().request(address, seconds),
    "hub-inflight": lambda address, seconds: measures().in_flight(address, seconds),
    "hub-awaited": awaited,
    "hub-broadcast": lambda address, seconds: measures().broadcast(address, seconds),
    "hub-noise": lambda address, seconds: measures().noise(address, seconds),
}
