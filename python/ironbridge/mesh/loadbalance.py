"""Which of several nodes a call or an event goes to."""

from __future__ import annotations

from .._mesh.loadbalance import (
    CpuUsageStrategy,
    LatencyStrategy,
    LoadBalanceStrategy,
    RandomStrategy,
    RoundRobinStrategy,
    ShardStrategy,
)

__all__ = [
    "CpuUsageStrategy",
    "LatencyStrategy",
    "LoadBalanceStrategy",
    "RandomStrategy",
    "RoundRobinStrategy",
    "ShardStrategy",
]
