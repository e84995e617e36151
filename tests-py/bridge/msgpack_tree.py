"""msgpack as a tree whose parts can be exchanged, so that a mutant is well formed and yet says something else."""

from __future__ import annotations

import dataclasses
import random
import struct
from typing import Any

# Extension types whose contents are one value again.
COMPOUND = {4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16, 17, 18, 21, 22}
_FIXED = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_SIZED = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}


@dataclasses.dataclass
class Node:
    """A value: its bytes (`leaf`, `bin`, `str`, and an `ext` of one piece), or the nodes in it."""

    kind: str
    data: bytes = b""
    code: int = 0
    inner: list[Node] = dataclasses.field(default_factory=list)


def parse(data: bytes) -> list[Node]:
    """Every value that stands in `data`, one after the other."""
    nodes, at = [], 0
    while at < len(data):
        node, at = _parse(data, at)
        nodes.append(node)
    return nodes


def _parse(data: bytes, at: int) -> tuple[Node, int]:
    marker, at = data[at], at + 1
    if marker in _FIXED:
        return Node("leaf", data[at - 1 : at + _FIXED[marker]]), at + _FIXED[marker]
    if marker <= 0x7F or marker >= 0xE0 or marker in (0xC0, 0xC2, 0xC3):
        return Node("leaf", data[at - 1 : at]), at
    if marker in (0xC7, 0xC8, 0xC9):
        width = 1 << (marker - 0xC7)
        size, code = int.from_bytes(data[at : at + width]), data[at + width]
        at += width + 1
        content = data[at : at + size]
        if code in COMPOUND:
            return Node("ext", code=code, inner=parse(content)), at + size
        return Node("ext", content, code), at + size
    if marker in _SIZED:
        width = _SIZED[marker]
        size, at = int.from_bytes(data[at : at + width]), at + width
    else:
        size = marker & (0x1F if marker >= 0xA0 else 0x0F)
    if 0xA0 <= marker <= 0xBF or 0xD9 <= marker <= 0xDB:
        return Node("str", data[at : at + size]), at + size
    if 0xC4 <= marker <= 0xC6:
        return Node("bin", data[at : at + size]), at + size
    kind = "map" if 0x80 <= marker <= 0x8F or marker in (0xDE, 0xDF) else "array"
    inner = []
    for _ in range(size * (2 if kind == "map" else 1)):
        node, at = _parse(data, at)
        inner.append(node)
    return Node(kind, inner=inner), at


def write(node: Node) -> bytes:
    """The bytes of a node, every length being what it is."""
    if node.kind == "leaf":
        return node.data
    content = node.data + b"".join(map(write, node.inner))
    if node.kind == "ext":
        return b"\xc9" + struct.pack(">IB", len(content), node.code) + content
    if node.kind in ("str", "bin"):
        return (b"\xdb" if node.kind == "str" else b"\xc6") + struct.pack(">I", len(content)) + content
    count = len(node.inner) // (2 if node.kind == "map" else 1)
    return (b"\xdf" if node.kind == "map" else b"\xdd") + struct.pack(">I", count) + content


def walk(node: Node) -> list[Node]:
    """The node and all that are in it."""
    return [node, *(below for inner in node.inner for below in walk(inner))]


def mutate(rng: random.Random, node: Node, others: list[Node]) -> None:
    """Changes one part of the tree in place."""
    target, other = rng.choice(walk(node)), rng.choice(others)
    match rng.randrange(7):
        case 0:
            vars(target).update(vars(_copy(other)))
        case 1:
            target.code = rng.randrange(24)
        case 2 if target.inner:
            del target.inner[rng.randrange(len(target.inner))]
        case 3 if target.inner:
            target.inner.insert(rng.randrange(len(target.inner)), _copy(rng.choice([other, *target.inner])))
        case 4 if target.inner:
            rng.shuffle(target.inner)
        case 5 if target.kind != "leaf":
            data = bytearray(target.data)
            if data and not target.inner:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            target.data = bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.2 else data)
        case _:
            number: Any = rng.choice([0, 1, 7, 2**7, 2**31, 2**63, 2**64 - 1])
            vars(target).update(vars(Node("leaf", b"\xcf" + struct.pack(">Q", number))))


def _copy(node: Node) -> Node:
    return Node(node.kind, node.data, node.code, [_copy(inner) for inner in node.inner])


def mutant(rng: random.Random, payload: bytes, others: list[Node]) -> bytes:
    """The payload with one to three of its parts changed."""
    root = Node("array", inner=parse(payload))
    for _ in range(rng.randrange(1, 4)):
        mutate(rng, root, others)
    return b"".join(map(write, root.inner))
