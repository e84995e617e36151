"""Our node and one of Moleculer.js that know each other, for all tests of a module; and what one asks of the other."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from harness import wait_until
from harness.told import PATIENCE
from ironbridge.mesh import Broker, MoleculerError

from mesh.marks import UNDEFINED
from mesh.meeting import Meeting
from mesh.ours import ours as broker_with
from mesh.peers import PROTOCOLS, JsError, JsNode, Protocol
from mesh.wire import Tap

OURS, THEIRS = "py", "js"
"""The ids of the two nodes."""
EVERYWHERE: tuple[tuple[Protocol, str], ...] = tuple(
    (protocol, server) for protocol in PROTOCOLS for server in ("redis", "nats")
)
"""Each protocol over each server."""
CROSSED: tuple[tuple[Protocol, str], ...] = (("4", "redis"), ("5", "nats"))
"""Each protocol and each server once."""


def ours(
    meeting: Meeting,
    protocol: Protocol,
    node_id: str = OURS,
    *,
    services: Sequence[str] = (),
    schemas: Sequence[Mapping[str, Any]] = (),
    **options: Any,
) -> Broker:
    """A broker of ours at a meeting, not started: with services of `ours.py` by name, and of schemas of the test."""
    broker = broker_with(meeting, protocol, node_id, services=services, **options)
    for schema in schemas:
        broker.create_service(schema)
    return broker


@dataclass(frozen=True)
class Met:
    """Our broker and a peer that know each other's services, and a recorder of all that they say from then on."""

    broker: Broker
    js: JsNode
    protocol: Protocol
    meeting: Meeting
    tap: Tap

    async def ask(self, function: Callable[..., Any], *args: Any, **given: Any) -> Any:
        """Does something that waits for the peer, on a thread: our loop goes on meanwhile."""
        return await asyncio.to_thread(function, *args, **given)

    async def js_calls(self, action: str, params: Any = UNDEFINED, **options: Any) -> Any:
        """What the peer gets when it calls."""
        return await self.ask(self.js.call, action, params, **options)

    async def js_fails(self, action: str, params: Any = UNDEFINED, **options: Any) -> JsError:
        """What the peer's call is rejected with."""
        with pytest.raises(JsError) as raised:
            await self.js_calls(action, params, **options)
        return raised.value

    async def py_fails(self, action: str, params: Any = None, **options: Any) -> MoleculerError:
        """What our call raises."""
        with pytest.raises(MoleculerError) as raised:
            await self.broker.call(action, params, **options)
        return raised.value

    async def says(self, command: str, target: str | None = None, **fields: Any) -> dict[str, Any]:
        """The fields of a packet that was, or will be, said."""
        packet = await self.ask(self.tap.wait, command, target, **fields)
        found: dict[str, Any] = packet.fields
        return found

    async def stranger_asks(self, node: str, action: str, **fields: Any) -> dict[str, Any]:
        """What a node answers to one that is nothing but its packets: the fields of its response."""
        number = uuid.uuid4().hex
        packet = {"ver": self.protocol, "sender": "far", "id": number, "action": action, **fields}
        await self.ask(self.tap.publish, f"{self.meeting.prefix}.REQ.{node}", packet)
        return await self.says("RES", "far", id=number)


def meeting_at(request: pytest.FixtureRequest, server: str, started: ExitStack) -> Meeting:
    """A place at the server of that name where nobody else is."""
    return Meeting(request.getfixturevalue(server), f"test-{uuid.uuid4().hex[:8]}", started)


@asynccontextmanager
async def meet(
    meeting: Meeting,
    protocol: Protocol,
    *,
    theirs: Sequence[str],
    services: Sequence[str] = (),
    schemas: Sequence[Mapping[str, Any]] = (),
    js_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[Met]:
    """Starts both side by side. `theirs` are the peer's services; `options` are our broker's."""
    broker = ours(meeting, protocol, services=services, schemas=schemas, **options)
    tap = await asyncio.to_thread(meeting.tap)
    begun = asyncio.to_thread(meeting.js, protocol, THEIRS, services=theirs, **(js_options or {}))
    js, _ = await asyncio.gather(begun, broker.start())
    try:
        await until(lambda: _has(broker, THEIRS), "the peer")
        await asyncio.to_thread(js.meet, OURS)
        yield Met(broker, js, protocol, meeting, tap)
    finally:
        await broker.stop()


async def until(seen: Callable[[], Any], what: str, deadline: float = PATIENCE) -> None:
    """Returns when `seen()` is true; `what` is said when it does not become so in time."""
    await asyncio.to_thread(wait_until, lambda: bool(seen()), deadline, what)


def available(broker: Broker, node: str) -> bool:
    """Whether our broker knows a node, and it is there."""
    known = broker.get_registry().nodes.get(node)
    return known is not None and known.available


def _has(broker: Broker, node: str) -> bool:
    return available(broker, node) and bool(broker.get_registry().nodes[node].services)
