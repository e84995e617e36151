"""Records the corpus anew: `python -m mesh.capture [SCENARIO…]`, in `tests-py`.

What differs from run to run or from machine to machine is exchanged for something of its form: ids are numbered in the
order in which they come, and times, hosts and traces are the same in all. `$node` is told of in full only in `life`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from harness import Nats, PrivateServer, Redis

import mesh.scenarios_apart
import mesh.scenarios_stores
from mesh.corpus import keep
from mesh.peers import PROTOCOLS, Protocol
from mesh.scenarios import SCENARIOS, Stage
from mesh.wire import NatsTap, Packet, RedisMonitor, RedisTap, Tap

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = 1_700_000_000_000
SAME = {
    "hostname": "host",
    "ipList": ["192.0.2.1"],
    "time": TIME,
    "arrived": TIME + 1,
    "stack": "Error: …\n    at …",
}
NAMES = ("action", "description", "id", "labelNames", "name", "requestID", "sender", "type", "unit", "ver")
"""Whose values stay where others do not."""
SIMILAR = ("argv", "values")
"""Lists of which one item tells of all."""


class Scrubber:
    """Makes the packets of one scenario the same on every machine.

    `whole` keeps all that is told of `$node`; `blank` keeps names, and no values.
    """

    def __init__(self, packets: Sequence[Packet], whole: bool, blank: bool) -> None:
        self.packets, self.whole, self.blank = packets, whole, blank
        texts = [packet.topic + packet.headers + packet.body.decode(errors="replace") for packet in packets]
        found = [one for text in texts for one in UUID.findall(text)]
        self.ids = {
            one: f"{number:08}-0000-4000-8000-000000000000" for number, one in enumerate(dict.fromkeys(found), 1)
        }

    def scrubbed(self) -> Iterator[Packet]:
        """Those packets; one that is not JSON stays as it is."""
        for packet in self.packets:
            try:
                text = json.dumps(self.value(packet.fields), ensure_ascii=False, separators=(",", ":"))
            except ValueError:
                yield packet
            else:
                yield Packet(self.numbered(packet.topic), self.numbered(text).encode(), self.numbered(packet.headers))

    def numbered(self, text: str) -> str:
        """With ids exchanged, and the beginnings of ids of which keys are made."""
        for one, number in self.ids.items():
            text = text.replace(one, number).replace(f"|{one[:8]}", f"|{number[:8]}")
        return text

    def value(self, value: Any, key: str = "") -> Any:
        if key in SAME and value is not None:
            return SAME[key]
        if isinstance(value, dict):
            return {name: self.value(item, name) for name, item in value.items()}
        if isinstance(value, list):
            items = [item for item in value if self.whole or not (key == "services" and _internal(item))]
            return [self.value(item, key) for item in (items[:1] if self.blank and key in SIMILAR else items)]
        if self.blank and key not in NAMES and isinstance(value, int | float | str) and not isinstance(value, bool):
            return type(value)()
        if isinstance(value, str) and value.startswith("{") and UUID.search(value):
            return json.dumps(self.value(json.loads(value)), ensure_ascii=False, separators=(",", ":"))
        return value


def _internal(service: Any) -> bool:
    return isinstance(service, dict) and service.get("name") == "$node"


def telling(packets: Sequence[Packet]) -> Iterator[Packet]:
    """Without what a server says of itself, and with each sign of life, and each look at Redis, but once."""
    seen: set[tuple[str, str]] = set()
    for packet in packets:
        if packet.topic.startswith(("_INBOX", "$JS.EVENT")):
            continue
        if packet.command == "HEARTBEAT" or packet.topic in ("SCAN", "XAUTOCLAIM", "XREADGROUP"):
            about = str(packet.fields["sender"] if packet.command == "HEARTBEAT" else packet.fields)
            if (packet.topic, about) in seen:
                continue
            seen.add((packet.topic, about))
        yield packet


def record(protocol: Protocol, name: str, redis: Redis, nats: Nats) -> None:
    """Plays one scenario and keeps what was said."""
    server: PrivateServer = nats if name.endswith("over-nats") else redis
    url = nats.url() if server is nats else f"redis://{redis.host}:{redis.port}"
    tap: Tap
    if name.endswith("in-redis"):
        redis.ask("FLUSHALL")
        tap = RedisMonitor(redis.address)
    elif server is nats:
        tap = NatsTap(nats.address, prefix="" if name.startswith("channels") else "MOL")
    else:
        tap = RedisTap(redis.address, prefix="MOL-dev" if name == "namespace" else "MOL")
    with tap:
        stage = Stage(protocol, url, tap, server)
        with stage.started:
            SCENARIOS[name](stage)
            packets = tap.packets if name != "life" else []
        packets = packets or tap.packets
    packets = list(telling(packets))
    if packets:
        scrubber = Scrubber(packets, whole=name == "life", blank=name == "talk-of-health")
        print(keep(protocol, name, scrubber.scrubbed()), len(packets), flush=True)


def main() -> None:
    """Records the scenarios named, or all."""
    assert mesh.scenarios_apart and mesh.scenarios_stores
    with Redis() as redis, Nats(jetstream=True) as nats:
        for protocol in PROTOCOLS:
            for name in sys.argv[1:] or SCENARIOS:
                record(protocol, name, redis, nats)


if __name__ == "__main__":
    main()
