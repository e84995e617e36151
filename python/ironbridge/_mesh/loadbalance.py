"""Which of several nodes a call or an event goes to: the engine's five strategies, and your own."""

from __future__ import annotations

import random
import zlib
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from .registry import NodeInfo, Registry
from .schema import camel

__all__ = [
    "CpuUsageStrategy",
    "LatencyStrategy",
    "LoadBalanceStrategy",
    "RandomStrategy",
    "RoundRobinStrategy",
    "ShardStrategy",
]


class LoadBalanceStrategy(ABC):
    """Chooses nodes. Write your own by deriving from it; it is asked at each call that names no node."""

    # The engine's name of it; the engine chooses then, without asking Python.
    native: ClassVar[str | None] = None

    def __init__(self, **options: Any) -> None:
        self.options = {camel(name): value for name, value in options.items()}

    @abstractmethod
    def select_node(self, registry: Registry, action_name: str) -> NodeInfo | str | None:
        """The node for a call of an action: itself or its id; None when there is none."""

    def select_event_node(self, registry: Registry, event_name: str) -> NodeInfo | str | None:
        """The node for an event, where the engine does not choose one for each group."""
        found = registry.listeners_of(event_name)
        return random.choice(found) if found else None


class RoundRobinStrategy(LoadBalanceStrategy):
    """Each node in its turn."""

    native = "RoundRobin"

    def __init__(self) -> None:
        super().__init__()
        self._turns: dict[str, int] = {}

    def select_node(self, registry: Registry, action_name: str) -> NodeInfo | None:
        """The next of those that serve the action."""
        return self._next(action_name, registry.nodes_of(action_name))

    def select_event_node(self, registry: Registry, event_name: str) -> NodeInfo | None:
        """The next of those that listen."""
        return self._next(f"event {event_name}", registry.listeners_of(event_name))

    def _next(self, name: str, found: list[NodeInfo]) -> NodeInfo | None:
        if not found:
            return None
        turn = self._turns.get(name, 0)
        self._turns[name] = turn + 1
        return found[turn % len(found)]


class RandomStrategy(LoadBalanceStrategy):
    """Any node."""

    native = "Random"

    def select_node(self, registry: Registry, action_name: str) -> NodeInfo | None:
        """Any of those that serve the action."""
        found = registry.nodes_of(action_name)
        return random.choice(found) if found else None


class CpuUsageStrategy(LoadBalanceStrategy):
    """The least busy of a sample.

    Args:
        sample_count: how many are looked at (3); 0: all.
        low_cpu_usage: one below this many percent is taken at once (10).
    """

    native = "CpuUsage"

    def __init__(self, sample_count: int = 3, low_cpu_usage: float = 10) -> None:
        super().__init__(sample_count=sample_count, low_cpu_usage=low_cpu_usage)

    def select_node(self, registry: Registry, action_name: str) -> NodeInfo | None:
        """The least busy of those that serve the action."""
        found = registry.nodes_of(action_name)
        return min(found, key=lambda node: 100 if node.cpu is None else node.cpu) if found else None


class LatencyStrategy(LoadBalanceStrategy):
    """The nearest of a sample, as pings tell.

    Args:
        sample_count: how many are looked at (5); 0: all.
        low_latency: one nearer than this is taken at once (10 ms).
        collect_count: how many pongs of a host count (5).
        ping_interval: seconds between two pings of a host (10).
    """

    native = "Latency"

    def __init__(
        self, sample_count: int = 5, low_latency: float = 10, collect_count: int = 5, ping_interval: float = 10
    ) -> None:
        super().__init__(
            sample_count=sample_count, low_latency=low_latency, collect_count=collect_count, ping_interval=ping_interval
        )

    def select_node(self, registry: Registry, action_name: str) -> NodeInfo | None:
        """Any of those that serve the action: only the engine knows the ways."""
        found = registry.nodes_of(action_name)
        return random.choice(found) if found else None


class ShardStrategy(LoadBalanceStrategy):
    """The same node for all calls with the same key.

    Args:
        shard_key: a name in the parameters, or in the meta with `#` before it.
        vnodes: how many places each node has on the ring (10).
        ring_size: the ring's size (2^32).
    """

    native = "Shard"

    def __init__(self, shard_key: str | None = None, vnodes: int = 10, ring_size: int | None = None) -> None:
        super().__init__(shard_key=shard_key, vnodes=vnodes, ring_size=ring_size)

    def select_node(self, registry: Registry, action_name: str) -> NodeInfo | None:
        """One that is the same for the same action: only the engine sees the key."""
        found = registry.nodes_of(action_name)
        return found[zlib.crc32(action_name.encode()) % len(found)] if found else None


_NATIVE: tuple[type[LoadBalanceStrategy], ...] = (
    RoundRobinStrategy,
    RandomStrategy,
    CpuUsageStrategy,
    LatencyStrategy,
    ShardStrategy,
)


def native_of(strategy: LoadBalanceStrategy) -> str | None:
    """The engine's name of a strategy, unless it chooses in its own way."""
    for kind in _NATIVE:
        if isinstance(strategy, kind) and type(strategy).select_node is kind.select_node:
            return kind.native
    return None
