"""What is known of the mesh, as data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class ActionInfo:
    """An action that a node serves.

    Attributes:
        name: its full name.
        raw_name: its name within its service.
        cache: whether, or how, its answers are cached.
        params: the rules for its parameters.
        schema: all that its node tells of it.
    """

    name: str
    raw_name: str = ""
    cache: Any = False
    params: Any = None
    schema: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class EventInfo:
    """An event, or a pattern, that a service listens to."""

    name: str
    group: str | None = None
    schema: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class ServiceInfo:
    """A service, and the node that serves it.

    Attributes:
        name, version, full_name: `math`, 2, `v2.math`.
        settings, metadata: what its node tells of it.
        actions: by full name.
        events: by name or pattern.
        node_id: the node.
        local: whether that is this one.
        available: whether the node is there.
    """

    name: str
    full_name: str = ""
    version: Any = None
    settings: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    actions: dict[str, ActionInfo] = field(default_factory=dict)
    events: dict[str, EventInfo] = field(default_factory=dict)
    node_id: str = ""
    local: bool = False
    available: bool = True

    def told(self) -> dict[str, Any]:
        """As other nodes are told."""
        told: dict[str, Any] = {"name": self.name, "fullName": self.full_name}
        if self.version is not None:
            told["version"] = self.version
        told["settings"], told["metadata"] = self.settings, self.metadata
        told["actions"] = {name: one.schema for name, one in self.actions.items()}
        told["events"] = {name: one.schema for name, one in self.events.items()}
        return told


@dataclass(slots=True)
class NodeInfo:
    """A node.

    Attributes:
        id: its id.
        instance_id: which run of it this is.
        available: whether it is there.
        local: whether it is this one.
        cpu: how busy its processor is, in percent; None when it has not said.
        seq: how often its services have changed.
        silent_for: milliseconds since it was last heard.
        offline_for: milliseconds since it was lost, or left; None while it is there.
        hostname, ip_list, client, config, metadata: what it tells of itself.
        services: what it serves.
    """

    id: str
    instance_id: str | None = None
    available: bool = True
    local: bool = False
    cpu: float | None = None
    seq: int = 0
    silent_for: int = 0
    offline_for: int | None = None
    hostname: str | None = None
    ip_list: list[str] = field(default_factory=list)
    client: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    services: list[ServiceInfo] = field(default_factory=list)

    def serves(self, action: str) -> bool:
        """Whether one of its services has this action."""
        return any(action in service.actions for service in self.services)


@dataclass(slots=True)
class Registry:
    """All nodes by their ids, at one moment."""

    nodes: dict[str, NodeInfo] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> Registry:
        """From what the engine tells."""
        return cls({node["id"]: _node(node) for node in json.loads(text)})

    def services(self) -> list[ServiceInfo]:
        """All services of all nodes that are there."""
        return [service for node in self.nodes.values() if node.available for service in node.services]

    def nodes_of(self, action: str) -> list[NodeInfo]:
        """The nodes that serve an action and are there, in the order of their ids."""
        found = [node for node in self.nodes.values() if node.available and node.serves(action)]
        return sorted(found, key=lambda node: node.id)

    def listeners_of(self, event: str) -> list[NodeInfo]:
        """The nodes that listen to an event and are there, in the order of their ids."""
        from .bus import matches

        def listens(node: NodeInfo) -> bool:
            return any(matches(pattern, event) for service in node.services for pattern in service.events)

        return sorted((node for node in self.nodes.values() if node.available and listens(node)), key=lambda n: n.id)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"nodes": {name: asdict(node) for name, node in self.nodes.items()}}

    def to_json(self, indent: int | None = 2) -> str:
        """As JSON text."""
        return json.dumps(self.to_dict(), indent=indent, default=str)


def _node(told: dict[str, Any]) -> NodeInfo:
    node = NodeInfo(
        id=told["id"],
        instance_id=told.get("instanceID"),
        available=bool(told.get("available")),
        local=bool(told.get("local")),
        cpu=told.get("cpu"),
        seq=told.get("seq") or 0,
        silent_for=told.get("silentFor") or 0,
        offline_for=told.get("offlineFor"),
        hostname=told.get("hostname"),
        ip_list=told.get("ipList") or [],
        client=told.get("client") or {},
        config=told.get("config") or {},
        metadata=told.get("metadata") or {},
    )
    node.services = [_service(service, node) for service in told.get("services") or []]
    return node


def _members(told: Any) -> list[dict[str, Any]]:
    values = told.values() if isinstance(told, dict) else told or []
    return [value for value in values if isinstance(value, dict) and isinstance(value.get("name"), str)]


def _service(told: dict[str, Any], node: NodeInfo) -> ServiceInfo:
    name, version = str(told.get("name")), told.get("version")
    full = told.get("fullName") or versioned(name, version)
    return ServiceInfo(
        name=name,
        full_name=full,
        version=version,
        settings=told.get("settings") or {},
        metadata=told.get("metadata") or {},
        actions={
            one["name"]: ActionInfo(
                one["name"], one.get("rawName") or "", one.get("cache") or False, one.get("params"), one
            )
            for one in _members(told.get("actions"))
        },
        events={one["name"]: EventInfo(one["name"], one.get("group"), one) for one in _members(told.get("events"))},
        node_id=node.id,
        local=node.local,
        available=node.available,
    )


def versioned(name: str, version: Any) -> str:
    """A service's full name: `v2.math` of a number, `beta.math` of a text."""
    if version is None:
        return name
    return f"{version}.{name}" if isinstance(version, str) else f"v{version}.{name}"
