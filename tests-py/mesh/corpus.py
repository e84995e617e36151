"""Packets that Moleculer.js has sent, kept in `packets/`, and how others compare with them, key by key."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mesh.peers import Protocol
from mesh.wire import Packet

PACKETS = Path(__file__).with_name("packets")


def captured(protocol: Protocol, scenario: str) -> list[Packet]:
    """What one scenario (`scenarios.py`) put on the wire; see `capture.py` for what was made the same in all."""
    return [_read(json.loads(line)) for line in _file(protocol, scenario).read_text().splitlines()]


def keep(protocol: Protocol, scenario: str, packets: Iterable[Packet]) -> Path:
    """Writes the packets of a scenario, a line each: their JSON, or, of other serializers, their bytes."""
    path = _file(protocol, scenario)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(_written(packet), ensure_ascii=False) + "\n" for packet in packets))
    return path


def differences(ours: Any, theirs: Any, at: str = "") -> list[str]:
    """What one has and the other has not, and where kinds of values differ; values themselves may."""
    if _kind(ours) != _kind(theirs):
        return [f"{at or 'packet'}: {_kind(ours)}, theirs {_kind(theirs)}"]
    if isinstance(ours, dict):
        found = [f"{at}.{key}: theirs alone" for key in theirs if key not in ours]
        found += [f"{at}.{key}: ours alone" for key in ours if key not in theirs]
        for key in ours:
            if key in theirs:
                found += differences(ours[key], theirs[key], f"{at}.{key}")
        return found
    if isinstance(ours, list):
        pairs = enumerate(zip(ours, theirs, strict=False))
        return [line for index, (one, other) in pairs for line in differences(one, other, f"{at}[{index}]")]
    return []


def _kind(value: Any) -> str:
    kinds = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return kinds.get(type(value), "null")


def _file(protocol: Protocol, scenario: str) -> Path:
    return PACKETS / f"v{protocol}" / f"{scenario}.jsonl"


def _written(packet: Packet) -> dict[str, Any]:
    line: dict[str, Any] = {"topic": packet.topic} | ({"headers": packet.headers} if packet.headers else {})
    try:
        return line | {"packet": packet.fields}
    except ValueError:
        return line | {"bytes": base64.b64encode(packet.body).decode()}


def _read(line: dict[str, Any]) -> Packet:
    text = json.dumps(line.get("packet"), ensure_ascii=False, separators=(",", ":")).encode()
    body = base64.b64decode(line["bytes"]) if "bytes" in line else text
    return Packet(line["topic"], body, line.get("headers", ""))
