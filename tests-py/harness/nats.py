"""A private NATS server."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.net import free_port
from harness.servers import PrivateServer


class Nats(PrivateServer):
    """A NATS server that keeps nothing, or, with `jetstream`, its streams in its folder from one start to the next."""

    program = "nats-server"
    ready_line = "Server is ready"

    def __init__(self, jetstream: bool = False, **place: Any) -> None:
        super().__init__(**place)
        self.jetstream = jetstream
        self.monitor = free_port(self.host)

    def command(self) -> Sequence[str | Path]:
        words: list[str | Path] = ["--addr", self.host, "--port", str(self.port)]
        # `max_payload` can be told by a file alone.
        settings = self.folder / "nats.conf"
        settings.write_text("max_payload: 64MB\n")
        streams: list[str | Path] = ["--jetstream", "--store_dir", self.folder] if self.jetstream else []
        return ["nats-server", "--config", settings, *words, "--http_port", str(self.monitor), *streams]

    def url(self) -> str:
        return f"nats://{self.host}:{self.port}"

    def about(self, what: str) -> dict[str, Any]:
        """What its monitor tells of: `varz`, `connz`, `jsz`…"""
        with urllib.request.urlopen(f"http://{self.host}:{self.monitor}/{what}", timeout=5) as answer:
            told: dict[str, Any] = json.load(answer)
        return told

    def subscribers(self) -> dict[str, list[str]]:
        """The subjects that clients listen to, each with the queue of every subscriber, "" where it has none."""
        found: dict[str, list[str]] = {}
        for row in self.about("subsz?subs=1&limit=100000").get("subscriptions_list", []):
            if row["account"] == "$G" and not row["subject"].startswith(("$", "_")):
                found.setdefault(row["subject"], []).append(row.get("qgroup", ""))
        return found
