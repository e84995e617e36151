"""What a broker is told when it is made."""

from __future__ import annotations

import json
import os
import platform
import socket
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .errors import BrokerOptionsError
from .loadbalance import LoadBalanceStrategy, RoundRobinStrategy, native_of

if TYPE_CHECKING:
    from .._engine import _MeshSetup

VERSION = "0.1.0"


@dataclass(slots=True)
class BrokerOptions:
    """A broker's options; see `Broker` for their meaning."""

    node_id: str
    instance_id: str
    transporter: str
    strategy: LoadBalanceStrategy
    namespace: str = ""
    protocol: str = "4"
    check_version: bool = True
    serializer: str = "json"
    request_timeout: float = 30_000
    heartbeat_interval: float = 10_000
    heartbeat_timeout: float = 20_000
    disable_heartbeat_checks: bool = False
    offline_removal: float | None = None
    prefer_local: bool = True
    disable_balancer: bool = False
    max_call_level: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    internal_services: bool = True
    internal_middlewares: bool = True
    dependency_interval: float = 1000
    dependency_timeout: float = 0
    stop_delay: float = 100
    grace: float = 5000
    discovery_wait: float = 500
    silence: float = 10_000
    max_packet: int = 64 << 20
    max_pending: int = 50_000
    max_nodes: int = 10_000
    workers: int = 32
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    middlewares: Sequence[Any] = ()
    cacher: Any = None
    validator: Any = True
    metrics: Any = False
    tracing: Any = False
    channels: Any = None
    retry_policy: Mapping[str, Any] | None = None
    circuit_breaker: Mapping[str, Any] | None = None
    bulkhead: Mapping[str, Any] | None = None
    tracking: Mapping[str, Any] | None = None
    error_handler: Any = None
    context_params_cloning: bool = False
    uid_generator: Any = None
    created: Any = None
    started: Any = None
    stopped: Any = None

    def given(self, transform: Any) -> _MeshSetup:
        """For the engine."""
        return {
            "node_id": self.node_id,
            "instance_id": self.instance_id,
            "namespace": self.namespace,
            "protocol": str(self.protocol),
            "check_version": self.check_version,
            "serializer": self.serializer,
            "transporter": self.transporter,
            "tls_ca": self.tls_ca,
            "tls_cert": self.tls_cert,
            "tls_key": self.tls_key,
            "hostname": socket.gethostname(),
            "ip_list": json.dumps(_addresses()),
            "client": json.dumps(
                {
                    "type": "python",
                    "version": VERSION,
                    "langVersion": f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}",
                    "implementation": platform.python_implementation(),
                }
            ),
            "metadata": json.dumps(dict(self.metadata)),
            "heartbeat_interval": float(self.heartbeat_interval),
            "heartbeat_timeout": float(self.heartbeat_timeout),
            "check_heartbeats": not self.disable_heartbeat_checks,
            "forget_after": self.offline_removal if self.offline_removal is not None else 2 * self.heartbeat_timeout,
            "prefer_local": self.prefer_local,
            "strategy": native_of(self.strategy) or "RoundRobin",
            "strategy_options": json.dumps({k: v for k, v in self.strategy.options.items() if v is not None}),
            "request_timeout": float(self.request_timeout),
            "disable_balancer": self.disable_balancer,
            "max_packet": self.max_packet,
            "max_pending": self.max_pending,
            "max_nodes": self.max_nodes,
            "discovery": float(self.discovery_wait),
            "silence": float(self.silence),
            "transform": transform,
            "max_level": self.max_call_level,
            "workers": self.workers,
        }


def options_of(
    node_id: str | None,
    instance_id: str | None,
    redis_url: str,
    cfg_node_ping_timeout_ms: float,
    strategy: LoadBalanceStrategy | str | None,
    transporter: str | None,
    more: Mapping[str, Any],
) -> BrokerOptions:
    """The options that a broker's constructor was given.

    Raises:
        BrokerOptionsError: one is wrong, or unknown.
    """
    known = {one for one in BrokerOptions.__slots__ if one not in ("node_id", "instance_id", "strategy", "transporter")}
    for name in more:
        if name not in known:
            raise BrokerOptionsError(f"there is no option {name!r}; there are {', '.join(sorted(known))}")
    given = dict(more)
    given.setdefault("heartbeat_timeout", cfg_node_ping_timeout_ms)
    # Nodes that wait less than three signs of life would lose each other.
    given.setdefault("heartbeat_interval", min(10_000.0, float(given["heartbeat_timeout"]) / 3))
    return BrokerOptions(
        node_id=node_id or f"{socket.gethostname().lower()}-{os.getpid()}",
        instance_id=instance_id or str(uuid.uuid4()),
        transporter=transporter or redis_url,
        strategy=_strategy(strategy),
        **given,
    )


def _strategy(strategy: Any) -> LoadBalanceStrategy:
    from . import loadbalance

    if strategy is None:
        return RoundRobinStrategy()
    if isinstance(strategy, LoadBalanceStrategy):
        return strategy
    if isinstance(strategy, type) and issubclass(strategy, LoadBalanceStrategy):
        return strategy()
    if isinstance(strategy, str):
        for name in loadbalance.__all__:
            if name.removesuffix("Strategy").lower() == strategy.lower().replace("_", ""):
                made: LoadBalanceStrategy = getattr(loadbalance, name)()
                return made
    if callable(getattr(strategy, "select_node", None)):
        return _Borrowed(strategy)
    raise BrokerOptionsError(
        f"strategy={strategy!r}: give RoundRobin, Random, CpuUsage, Latency or Shard, or an object with select_node()"
    )


class _Borrowed(LoadBalanceStrategy):
    """Any object that chooses."""

    def __init__(self, chooser: Any) -> None:
        super().__init__()
        self._chooser = chooser

    def select_node(self, registry: Any, action_name: str) -> Any:
        return self._chooser.select_node(registry, action_name)


def _addresses() -> list[str]:
    """This machine's addresses, without the loopback."""
    found: list[str] = []
    try:
        told = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    except OSError:
        return found
    for *_, place in told:
        if not str(place[0]).startswith("127.") and place[0] not in found:
            found.append(str(place[0]))
    return found
