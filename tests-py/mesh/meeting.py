"""A server, a namespace there, and the nodes that a test starts in it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from harness import Nats, Redis

from mesh.peers import JsNode, Protocol, acquaint
from mesh.wire import NatsTap, RedisTap, Tap


@dataclass(frozen=True)
class Meeting:
    """Where a test's nodes meet; what it starts is ended with the test."""

    server: Redis | Nats
    namespace: str
    started: ExitStack

    @property
    def url(self) -> str:
        """The transporter, as Moleculer names it."""
        scheme = "nats" if isinstance(self.server, Nats) else "redis"
        return f"{scheme}://{self.server.host}:{self.server.port}"

    @property
    def prefix(self) -> str:
        """Of its topics."""
        return f"MOL-{self.namespace}"

    def js(self, protocol: Protocol, node_id: str, **options: Any) -> JsNode:
        """A node of Moleculer.js, which has started."""
        return self.all_js(protocol, node_id, **options)[0]

    def all_js(self, protocol: Protocol, *node_ids: str, **options: Any) -> list[JsNode]:
        """Several, which start side by side and know each other then."""
        options.setdefault("namespace", self.namespace)
        nodes = [JsNode(protocol, self.url, node_id, **options) for node_id in node_ids]
        for node in nodes:
            self.started.callback(node.close)
        for node in nodes:
            node.ready()
        acquaint(*nodes)
        return nodes

    def tap(self) -> Tap:
        """A recorder of all packets from now on."""
        kind = NatsTap if isinstance(self.server, Nats) else RedisTap
        return self.started.enter_context(kind(self.server.address, self.prefix))
