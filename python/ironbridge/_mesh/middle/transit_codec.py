"""The fields of packets for middlewares, and packets that say nothing."""

from __future__ import annotations

import json
from typing import Any

from ...errors import PayloadError
from ..payloads import packed, plain, unpacked

# No service has this name, nor any of its groups: nobody is in it.
_NOBODY = "\0"


class Codec:
    """Reads and writes packets of a node.

    Args:
        serializer: `json` or `msgpack`.
        version: the protocol's, that its packets have.
        node_id: the node.
    """

    def __init__(self, serializer: str, version: str, node_id: str) -> None:
        self._is_json, self._head = serializer == "json", {"ver": version, "sender": node_id}

    def read(self, data: bytes) -> dict[str, Any] | None:
        """A packet's fields; `None` when it cannot be read."""
        try:
            read = json.loads(data) if self._is_json else unpacked(data, exact=True)
        except (ValueError, RecursionError, PayloadError):
            return None
        return read if isinstance(read, dict) else None

    def write(self, fields: dict[str, Any]) -> bytes:
        """A packet.

        Raises:
            PayloadError: it holds what cannot cross.
        """
        if not self._is_json:
            return packed(fields, "the packet")
        value = plain(fields)
        try:
            return _json(value, False).encode()
        except UnicodeEncodeError:
            # Half of a pair of UTF-16, which JSON can only escape.
            return _json(value, True).encode()

    def nothing_to_others(self, kind: str) -> bytes:
        """An answer to no question, or an event for nobody: nodes in either language pass it over."""
        if kind == "RES":
            fields: dict[str, Any] = {"id": _NOBODY, "meta": {}, "success": True, "data": None}
        else:
            fields = {
                "id": _NOBODY,
                "event": _NOBODY,
                "data": None,
                "groups": [_NOBODY],
                "broadcast": False,
                "meta": {},
            }
        return self.write({**fields, **self._head})

    def nothing_to_us(self, kind: str) -> bytes:
        """What the engine passes over: of presence, what the node itself has said; of a call, the end of a stream that
        has never begun."""
        if kind == "REQ":
            return self.write({"id": _NOBODY, "action": _NOBODY, "stream": False, "seq": 1, **self._head})
        if kind in ("RES", "EVENT"):
            return self.nothing_to_others(kind)
        return self.write(dict(self._head))


def _json(value: Any, ascii_alone: bool) -> str:
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_alone, allow_nan=False)
    except ValueError as error:
        raise PayloadError(f"the packet: {error}") from error
