"""The broker that contenders meet at: the tests' private RabbitMQ, in the placement of those who use it; their relay."""

import sys
from collections.abc import Sequence
from pathlib import Path

from placement import prefix

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests-py"))

from harness import RabbitMQ, Relay

__all__ = ["Broker", "Relay"]


class Broker(RabbitMQ):
    """A context manager, as every private server; `uri()` is where clients find it."""

    def __init__(self, placement: str) -> None:
        super().__init__()
        self.placement = placement

    def command(self) -> Sequence[str | Path]:
        """Starts it on the cores of that placement."""
        return [*prefix(self.placement), *super().command()]
