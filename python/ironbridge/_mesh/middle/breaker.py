"""Circuit breakers: an action that keeps failing at a node is not called there for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..schema import ActionSchema
from .policy import check, of_broker, of_schema
from .tasks import Tasks

Handler = Callable[[Any], Awaitable[Any]]


def is_servers_fault(error: BaseException) -> bool:
    """Whether the error's code is 500 or more."""
    code = getattr(error, "code", None)
    return isinstance(code, int) and code >= 500


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a circuit opens. The names and defaults are Moleculer's.

    Attributes:
        enabled: whether it does.
        threshold: the share of failures, of 1, at which it does.
        window_time: for how long calls are counted together, in seconds.
        min_request_count: how many calls there must be in that time.
        half_open_time: after how long one call is let through, in milliseconds.
        check: whether an error counts as a failure.
    """

    enabled: bool = False
    threshold: float = 0.5
    window_time: float = 60
    min_request_count: int = 20
    half_open_time: float = 10_000
    check: Callable[[BaseException], Any] = is_servers_fault


class State(Enum):
    """Of a circuit; `TRYING` is when the one call is on its way."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    TRYING = "trying"


@dataclass(slots=True)
class _Circuit:
    action: str
    service: str
    node: str
    policy: BreakerPolicy
    since: float
    state: State = State.CLOSED
    count: int = 0
    failures: int = 0
    timer: asyncio.TimerHandle | None = None

    def told(self) -> dict[str, Any]:
        return {"nodeID": self.node, "service": self.service, "action": self.action}

    def labels(self) -> dict[str, str]:
        return {"affectedNodeID": self.node, "service": self.service, "action": self.action}


class CircuitBreaker:
    """Counts failures of each action at each node. An open circuit's endpoint is not chosen: calls go to other nodes,
    or are rejected with `ServiceNotAvailableError`. All nodes are told by the events `$circuit-breaker.opened`,
    `$circuit-breaker.half-opened` and `$circuit-breaker.closed` of `{nodeID, service, action}`, the first also of
    `{failures, count, rate}`.

    Only the node's own failures count, not those that it passes on from nodes behind it.
    An action's own `circuit_breaker` comes before the broker's, another node's too.

    Args:
        broker: whose calls they are.
        options: the broker's `circuit_breaker`.

    Raises:
        BrokerOptionsError: it is no such policy.
    """

    def __init__(self, broker: Any, options: Any = None) -> None:
        self._broker = broker
        self._policy = of_broker(BreakerPolicy, options, "circuit_breaker")
        self._logger = broker.get_logger("circuit-breaker")
        self._tasks = Tasks(self._logger)
        self._circuits: dict[tuple[str, str], _Circuit] = {}
        self._swept = time.monotonic()

    @property
    def enabled(self) -> bool:
        """Whether it has to do with all actions, not only with those that say so."""
        return self._policy.enabled

    def service_creating(self, service: Any, _schema: Any) -> None:
        """Refuses a service whose actions' policies are wrong, before it is there."""
        check(self._policy, service, "circuit_breaker")

    def local_action(self, next: Handler, action: ActionSchema) -> Handler:
        """The action of this node, counted; itself if it is not to be."""
        return self._around(next, action)

    def remote_action(self, next: Handler, action: ActionSchema) -> Handler:
        """The action of another node, counted; itself if it is not to be."""
        return self._around(next, action)

    async def stopped(self, _broker: Any) -> None:
        """Ends its timers."""
        for circuit in self._circuits.values():
            self._stop_timer(circuit)
        self._circuits.clear()
        await self._tasks.end()

    def _around(self, next: Handler, action: ActionSchema) -> Handler:
        policy = of_schema(self._policy, action.circuit_breaker, action)
        if not policy.enabled:
            return next

        async def guarded(ctx: Any) -> Any:
            node = self._broker.node_id if action.service is not None else ctx.endpoint_node
            circuit = self._circuit(action, node, policy)
            trying = circuit.state is State.HALF_OPEN
            if trying:
                self._try(circuit)
            try:
                answer = await next(ctx)
            except Exception as error:
                if policy.check(error) and getattr(error, "node_id", None) in (None, node):
                    self._ended(self._circuit(action, node, policy), trying, failed=True)
                raise
            self._ended(self._circuit(action, node, policy), trying, failed=False)
            return answer

        return guarded

    def _circuit(self, action: ActionSchema, node: str, policy: BreakerPolicy) -> _Circuit:
        now = time.monotonic()
        circuit = self._circuits.get((action.name, node))
        if circuit is None:
            self._sweep(now)
            service = action.name.removesuffix(f".{action.raw_name}")
            circuit = self._circuits[action.name, node] = _Circuit(action.name, service, node, policy, now)
        elif now - circuit.since >= policy.window_time:
            circuit.since, circuit.count, circuit.failures = now, 0, 0
        return circuit

    def _sweep(self, now: float) -> None:
        """Forgets circuits that nobody uses: of nodes that are gone, above all."""
        if now - self._swept < self._policy.window_time:
            return
        self._swept = now
        for key, circuit in list(self._circuits.items()):
            if circuit.state is State.CLOSED and now - circuit.since >= 2 * circuit.policy.window_time:
                del self._circuits[key]

    def _ended(self, circuit: _Circuit, tried: bool, failed: bool) -> None:
        circuit.count += 1
        circuit.failures += failed
        policy = circuit.policy
        if circuit.state is State.TRYING and tried:
            if failed:
                self._open(circuit)
            else:
                self._close(circuit)
        elif (
            circuit.state is State.CLOSED
            and circuit.count >= policy.min_request_count
            and circuit.failures / circuit.count >= policy.threshold
        ):
            self._open(circuit)

    def _open(self, circuit: _Circuit) -> None:
        self._become(circuit, State.OPEN, usable=False)
        if self._broker.metrics is not None:
            self._broker.metrics.increment("moleculer.circuit-breaker.opened.total", circuit.labels())
        rate = circuit.failures / circuit.count
        self._tell("opened", circuit, {"failures": circuit.failures, "count": circuit.count, "rate": rate})

    def _half_open(self, circuit: _Circuit) -> None:
        self._become(circuit, State.HALF_OPEN, usable=True)
        self._tell("half-opened", circuit, {})

    def _try(self, circuit: _Circuit) -> None:
        # Should nothing come of this call, another is let through after the same time.
        self._become(circuit, State.TRYING, usable=False)

    def _close(self, circuit: _Circuit) -> None:
        circuit.count = circuit.failures = 0
        self._become(circuit, State.CLOSED, usable=True)
        self._tell("closed", circuit, {})

    def _become(self, circuit: _Circuit, state: State, usable: bool) -> None:
        self._stop_timer(circuit)
        circuit.state = state
        if self._broker.metrics is not None:
            put, labels = self._broker.metrics.set, circuit.labels()
            put("moleculer.circuit-breaker.opened.active", int(state is State.OPEN), labels)
            is_half_open = state in (State.HALF_OPEN, State.TRYING)
            put("moleculer.circuit-breaker.half-opened.active", int(is_half_open), labels)
        self._broker.set_endpoint_usable(circuit.action, circuit.node, usable)
        if not usable:
            self._wait(circuit)

    def _wait(self, circuit: _Circuit) -> None:
        after = circuit.policy.half_open_time / 1000
        circuit.timer = asyncio.get_running_loop().call_later(after, self._half_open, circuit)

    @staticmethod
    def _stop_timer(circuit: _Circuit) -> None:
        if circuit.timer is not None:
            circuit.timer.cancel()
            circuit.timer = None

    def _tell(self, what: str, circuit: _Circuit, more: dict[str, Any]) -> None:
        told = {**circuit.told(), **more}
        self._logger.info("the circuit of %s at %s is %s: %s", circuit.action, circuit.node, what, more)
        event = f"$circuit-breaker.{what}"
        self._tasks.begin(self._broker.broadcast(event, told), event)
