"""The table: what is measured, against what, in which placement, and how far it should reach."""

from collections.abc import Iterator
from dataclasses import dataclass

from meeting import PLACES
from placement import ALL, ONE_CORE, TWO_CORES

OURS = "ours"
PEERS = ("rpyc_peer", "pyro5", "zerorpc_peer", "grpcio_peer", "thriftpy2_peer", "manager")
OURS_HUB = "ours_hub"
HUB = "aiofase_hub"
OURS_FABRIC = "ours_fabric"
FABRIC = "amqp_fabric_peer"
AIO_PIKA = "aio_pika_peer"
AIO_PIKA_BEST = "aio_pika_best"
LAPIN = "lapin"
OURS_MESH = "ours_mesh"
OURS_MESH_UVLOOP = "ours_mesh_uvloop"
MOLECULER = ("moleculer_js_4", "moleculer_js_5")
HAND = ("plain", "uvloop_msgpack")

TITLES = {
    OURS: "Ironbridge",
    OURS_HUB: "Ironbridge's hub",
    HUB: "aiofase",
    OURS_FABRIC: "Ironbridge's fabric",
    FABRIC: "amqp-fabric",
    AIO_PIKA: "aio-pika",
    AIO_PIKA_BEST: "aio-pika on uvloop, calls without confirms",
    LAPIN: "native lapin",
    OURS_MESH: "Ironbridge's mesh",
    OURS_MESH_UVLOOP: "Ironbridge's mesh on uvloop",
    "moleculer_js_4": "Moleculer.js 0.14",
    "moleculer_js_5": "Moleculer.js 0.15",
    "plain": "hand-written Python (socket + msgpack)",
    "uvloop_msgpack": "hand-written uvloop + msgpack",
    "rpyc_peer": "RPyC",
    "pyro5": "Pyro5",
    "zerorpc_peer": "zerorpc",
    "grpcio_peer": "grpcio",
    "thriftpy2_peer": "thriftpy2",
    "manager": "multiprocessing.Manager",
    "unix": "native Unix socket, blocking",
    "unix-polling": "native Unix socket, polling",
    "tcp": "native TCP, blocking",
    "futex": "native shared memory, futex",
    "spin": "native shared memory, polling",
}


@dataclass(frozen=True)
class Term:
    """One figure of one contender; `measure` is what its agent is asked, `figure` what is taken of the answer."""

    contender: str
    measure: str
    figure: str


@dataclass(frozen=True)
class Row:
    """`ours`, divided by `other` if there is one, must be at most or at least `reach`; no reach, no verdict."""

    group: str
    placement: str
    title: str
    ours: Term
    other: Term | None = None
    at_most: float | None = None
    at_least: float | None = None
    inverse: bool = False
    unit: str = "×"
    quick: bool = False
    alone: bool = False

    @property
    def name(self) -> str:
        """Unique; `--rows` matches any part of it."""
        against = f"/{self.other.contender}-{self.other.measure}" if self.other else ""
        return f"{self.group}/{self.placement}/{self.ours.measure}{against}"


def call(placement: str, other: str, **reach: float | bool) -> Row:
    """A sequential call beside a native round trip or another contender's call."""
    measure = "get" if other in PEERS + HAND else "ping"
    return Row(
        "call",
        placement,
        f"call, p50, × {TITLES[other]}",
        Term(OURS, "get", "p50"),
        Term(other, measure, "p50"),
        **reach,  # type: ignore[arg-type]
    )


def calls() -> Iterator[Row]:
    """One call after the other."""
    yield call(ONE_CORE, "unix", at_most=1.6, quick=True)
    yield call(ONE_CORE, "plain", at_most=0.75, quick=True)
    yield call(TWO_CORES, "unix-polling", at_most=2, quick=True)
    yield call(TWO_CORES, "unix", at_most=0.15, quick=True)
    yield call(TWO_CORES, "plain", quick=True)
    for placement in ALL:
        yield call(placement, "uvloop_msgpack", quick=True)
        for lane in ("tcp", "futex", "spin"):
            yield call(placement, lane)
        for peer in PEERS:
            easier = placement == ONE_CORE and peer in ("manager", "thriftpy2_peer")
            yield Row(
                "call",
                placement,
                f"calls, times as fast as {TITLES[peer]}",
                Term(OURS, "get", "p50"),
                Term(peer, "get", "p50"),
                at_least=2.5 if easier else 5,
                inverse=True,
                quick=True,
            )


def threads() -> Iterator[Row]:
    """Sixteen threads on one client."""
    measured = Term(OURS, "threads", "rate")
    own = Term(OURS, "get", "rate")
    title = "16 threads, rate"
    yield Row("threads", ONE_CORE, f"{title}, × its one-thread rate", measured, own, at_least=0.8, quick=True)
    yield Row("threads", TWO_CORES, f"{title}, × its one-thread rate", measured, own, quick=True)
    for placement in ALL:
        for peer in (*PEERS, "plain"):
            reach = 5.0 if placement == TWO_CORES else 2.5 if peer == "manager" else None
            yield Row(
                "threads",
                placement,
                f"{title}, × {TITLES[peer]}",
                measured,
                Term(peer, "threads", "rate"),
                at_least=None if peer == "plain" else reach,
            )


def in_flight() -> Iterator[Row]:
    """A hundred calls under way on one loop, with deadlines."""
    hand = Term("uvloop_msgpack", "inflight-uvloop", "rate")
    for placement, loops in ((ONE_CORE, (2, 3)), (TWO_CORES, (1.1, 1.4))):
        for loop, reach in zip(("asyncio", "uvloop"), loops, strict=True):
            title = f"100 in flight on {loop}, rate"
            ours = Term(OURS, f"inflight-{loop}", "rate")
            yield Row(
                "in-flight",
                placement,
                f"{title}, × {TITLES['uvloop_msgpack']}",
                ours,
                hand,
                at_least=reach,
                quick=True,
            )
            grpc = Term("grpcio_peer", f"inflight-{loop}", "rate")
            yield Row("in-flight", placement, f"{title}, × grpc.aio", ours, grpc)


def others() -> Iterator[Row]:
    """Coroutines and large values."""
    for placement, reach in ((ONE_CORE, 3.0), (TWO_CORES, 4.0)):
        coroutine, plain = Term(OURS, "coroutine", "p50"), Term(OURS, "get", "p50")
        title = "`async def` endpoint, p50, × a plain one"
        yield Row("coroutine", placement, title, coroutine, plain, at_most=reach, quick=True)
    for placement in ALL:
        ours = Term(OURS, "echo", "p50")
        for lane, quick in (("unix", True), ("unix-polling", False)):
            yield Row(
                "echo",
                placement,
                f"1 MiB there and back, speed, × {TITLES[lane]}",
                ours,
                Term(lane, "ping1m", "p50"),
                at_least=0.7,
                inverse=True,
                quick=quick,
            )
        title = f"1 MiB there and back, times as fast as {TITLES['plain']}"
        yield Row("echo", placement, title, ours, Term("plain", "echo", "p50"), inverse=True)


def resources() -> Iterator[Row]:
    """What it costs to start, to connect and to be there; and what a second worker brings."""

    def alone(measure: str, title: str, unit: str, reach: float, figure: str = "p50") -> Row:
        term = Term(OURS, measure, figure)
        return Row("resources", TWO_CORES, title, term, at_most=reach, unit=unit, quick=measure != "idle", alone=True)

    two, one = Term(OURS, "workers2", "rate"), Term(OURS, "workers1", "rate")
    title = "2 workers, CPU-bound endpoint, rate, × one worker"
    yield Row("workers", TWO_CORES, title, two, one, at_least=1.8, quick=True, alone=True)
    yield alone("idle", "idle daemon, 100 idle clients", "% of a core", 0.5, "percent")
    yield alone("connect", "connect, p50", "ms", 1)
    yield alone("run", "`run()`, p50", "ms", 150)
    yield alone("memory", "idle daemon, proportional memory", "MB", 30, "daemon")
    yield alone("connections", "idle connection, memory of the daemon", "KB", 64, "each")


def hub() -> Iterator[Row]:
    """Services around a hub, beside the same services on the original."""

    def row(placement: str, title: str, measure: str, figure: str, quick: bool = False, **reach: float | bool) -> Row:
        other = Term(HUB, "hub-awaited" if measure == "hub-call" else measure, figure)
        return Row("hub", placement, title, Term(OURS_HUB, measure, figure), other, quick=quick, **reach)  # type: ignore[arg-type]

    for placement, time, rate in ((ONE_CORE, 0.35, 8), (TWO_CORES, 0.45, 5)):
        title = "request and response through the hub, p50, × aiofase"
        yield row(placement, title, "hub-request", "p50", quick=True, at_most=time)
        yield row(placement, "`await call()` through the hub, p50, × aiofase's awaited request", "hub-call", "p50")
        title = "100 requests in flight through the hub, rate, × aiofase"
        yield row(placement, title, "hub-inflight", "rate", quick=True, at_least=rate)
        title = "broadcast of 100 bytes to 10 services, delivered, × aiofase"
        yield row(placement, title, "hub-broadcast", "rate", at_least=8)
    title = "100 services, one noisy: processor time of the others, × aiofase"
    yield row(TWO_CORES, title, "hub-noise", "cost", at_most=0.2)


def fabric() -> Iterator[Row]:
    """At a broker, beside the original, the library it is made of, and the one that ours is made of."""

    def row(
        title: str, measure: str, other: Term, placement: str = TWO_CORES, how: str = "", **reach: float | None
    ) -> Row:
        ours = Term(OURS_FABRIC, measure, other.figure)
        return Row("fabric", placement, f"{title}, × {TITLES[other.contender]}{how}", ours, other, **reach)  # type: ignore[arg-type]

    for placement in ALL:
        asked = placement == TWO_CORES
        title, theirs = "call through the broker, p50", "get-asyncio"
        yield row(title, "get-asyncio", Term(FABRIC, theirs, "p50"), placement, at_most=0.5 if asked else None)
        yield row(f"{title}, `async def`", "coroutine-asyncio", Term(AIO_PIKA, theirs, "p50"), placement)
        yield row(f"{title}, `async def`", "coroutine-asyncio", Term(LAPIN, "get", "p50"), placement)
        title, theirs = "100 calls in flight through the broker, rate", "inflight-asyncio"
        yield row(title, "inflight-asyncio", Term(FABRIC, theirs, "rate"), placement, at_least=10 if asked else None)
        title, ours = f"{title}, `async def`", "coroutines-asyncio"
        yield row(title, ours, Term(AIO_PIKA, theirs, "rate"), placement, at_least=4 if asked else None)
        yield row(title, ours, Term(AIO_PIKA_BEST, "inflight-uvloop", "rate"), placement)
        yield row(title, ours, Term(LAPIN, "inflight", "rate"), placement)
    for window, reach in ((1, 1.2), (100, 2.5), (1000, 4)):
        title, measure = f"1 KiB published, {window:,} unconfirmed at a time, rate", f"publish{window}-asyncio"
        yield row(title, measure, Term(AIO_PIKA, measure, "rate"), at_least=reach)
        yield row(title, measure, Term(AIO_PIKA_BEST, f"publish{window}-uvloop", "rate"))
        yield row(title, measure, Term(LAPIN, f"publish{window}", "rate"))
    one, several = Term(AIO_PIKA, "each-asyncio", "rate"), Term(AIO_PIKA, "coalesced-asyncio", "rate")
    title, measure = "1 KiB delivered, the callback acknowledges each, rate", "each-asyncio"
    yield row(title, measure, one, at_least=1.6)
    yield row(title, measure, Term(LAPIN, "each", "rate"))
    title, measure = "1 KiB delivered, the engine acknowledges what callbacks are done with, rate", "coalesced-asyncio"
    yield row(title, measure, one, at_least=3, how=", whose callback acknowledges each")
    yield row(title, measure, several, how=", whose callback acknowledges every 50")
    yield row(title, measure, Term(LAPIN, "coalesced", "rate"), how=", acknowledging at once what came together")
    yield Row(
        "fabric",
        TWO_CORES,
        "memory from the 100th to the 1,000th reconnect to the broker",
        Term(OURS_FABRIC, "reconnects", "growth"),
        at_most=1,
        unit="MB",
        alone=True,
    )


def mesh() -> Iterator[Row]:
    """Two nodes of a mesh, beside two of the original."""

    def row(
        group: str, title: str, measure: str, theirs: str, figure: str, placement: str = TWO_CORES, **reach: float
    ) -> Iterator[Row]:
        for number, original in enumerate(MOLECULER):
            # The second is told for comparison.
            asked = reach if number == 0 else {}
            ours = Term(OURS_MESH_UVLOOP if measure.endswith("uvloop") else OURS_MESH, measure, figure)
            other = Term(original, theirs, figure)
            yield Row(group, placement, f"{title}, × {TITLES[original]}", ours, other, **asked)  # type: ignore[arg-type]

    for loop, reach in (("uvloop", 1.0), ("asyncio", 0.7)):
        title = f"100 calls in flight over Redis on {loop}, rate"
        yield from row("mesh", title, f"inflight-{loop}", "inflight", "rate", at_least=reach)
    for placement, most in ((ONE_CORE, 1.0), (TWO_CORES, 1.3)):
        yield from row("mesh", "call over Redis, p50", "get-asyncio", "get", "p50", placement, at_most=most)
    title = "100 calls in flight over NATS on asyncio, rate"
    yield from row("mesh-nats", title, "inflight-asyncio", "inflight", "rate", at_least=1.0)
    yield from row("mesh", "call within a node, rate", "local-asyncio", "local", "rate", at_least=0.15)


def all_rows() -> list[Row]:
    """Every row, in the order of the table."""
    return [*calls(), *threads(), *in_flight(), *others(), *resources(), *hub(), *fabric(), *mesh()]


def apart(rows: list[Row]) -> Iterator[list[Row]]:
    """Those that are measured at one time: nobody else's figures have a broker beside them."""
    for alone in (False, True):
        for place in (None, *PLACES):
            at_it = [row for row in rows if row.group == place or (place is None and row.group not in PLACES)]
            part = [row for row in at_it if row.alone == alone]
            if part:
                yield part
