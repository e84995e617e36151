"""The servers that nodes of a mesh meet at: the tests' private ones, in the placement of those who use them."""

import sys
from collections.abc import Sequence
from pathlib import Path

from placement import prefix

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests-py"))

import harness


class Redis(harness.Redis):
    """A context manager; `url()` is where nodes find it."""

    def __init__(self, placement: str) -> None:
        super().__init__()
        self.placement = placement

    def command(self) -> Sequence[str | Path]:
        """Starts it on the cores of that placement."""
        return [*prefix(self.placement), *super().command()]

    def url(self) -> str:
        """Its address as a transporter's."""
        return f"redis://{self.host}:{self.port}"


class Nats(harness.Nats):
    """The same, of the other kind."""

    def __init__(self, placement: str) -> None:
        super().__init__()
        self.placement = placement

    def command(self) -> Sequence[str | Path]:
        """Starts it on the cores of that placement."""
        return [*prefix(self.placement), *super().command()]

    def url(self) -> str:
        """Its address as a transporter's."""
        return f"nats://{self.host}:{self.port}"
