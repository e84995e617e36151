"""Programs that tell what happens to them, a line of JSON for each event."""

from __future__ import annotations

import json
from typing import Any

from harness.processes import Program

PATIENCE = 15.0


class Told(Program):
    """A program whose events are lines of JSON."""

    def events(self, kind: str | None = None, /, **fields: Any) -> list[dict[str, Any]]:
        """All so far, of one kind and with these fields if they are named."""
        with self._news:
            told = '{"event": ' + (json.dumps(kind) if kind is not None else "")
            lines = [line for line in self.stdout if line.startswith(told)]
        found = (json.loads(line) for line in lines)
        return [
            event for event in found if all(name in event and event[name] == value for name, value in fields.items())
        ]

    def wait(self, kind: str, /, deadline: float = PATIENCE, count: int = 1, **fields: Any) -> dict[str, Any]:
        """The `count`th event of that kind with those fields; waits for it."""

        def found() -> bool:
            return len(self.events(kind, **fields)) >= count or not self._open_streams

        with self._news:
            self._news.wait_for(found, deadline)
        events = self.events(kind, **fields)
        assert len(events) >= count, f"no {kind} {fields} (number {count}) within {deadline} s:\n{self.output[-4000:]}"
        return events[count - 1]
