"""Programs that tell what happens to them, a line of JSON for each event."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.processes import Program

PATIENCE = 15.0


class Told(Program):
    """A program whose events are lines of JSON."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        self._events: list[dict[str, Any]] = []
        self._lines_read = 0
        super().__init__(command)

    def events(self, kind: str | None = None, /, **fields: Any) -> list[dict[str, Any]]:
        """All so far, of one kind and with these fields if they are named."""
        with self._news:
            new = self.stdout[self._lines_read :]
            self._lines_read += len(new)
            self._events += [json.loads(line) for line in new if line.startswith('{"event": ')]
            return [
                event
                for event in self._events
                if (kind is None or event["event"] == kind)
                and all(name in event and event[name] == value for name, value in fields.items())
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
