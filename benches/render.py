"""Writes the measured tables into README.md and docs/performance.md from a saved run.

`render.py [FILE]` takes the newest whole run on a quiet machine, or the one named. It replaces what stands
between `<!-- bench:start -->` and `<!-- bench:end -->`; `--check` only says whether anything would change.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import outcome
from placement import ONE_CORE, TWO_CORES
from rows import AIO_PIKA, FABRIC, HAND, HUB, LAPIN, OURS, OURS_FABRIC, OURS_HUB, PEERS, TITLES

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benches" / "results"
START, END = "<!-- bench:start -->", "<!-- bench:end -->"


def newest() -> Path:
    """The newest whole run; a quiet one if there is any."""
    whole = [path for path in sorted(RESULTS.glob("*.json")) if not path.stem.endswith(("-quick", "-part"))]
    if not whole:
        raise SystemExit("no whole run in benches/results: `make bench` makes one")
    quiet = [path for path in whole if all(place["quiet"] for place in load(path)["placements"].values())]
    return (quiet or whole)[-1]


def load(path: Path) -> outcome.Outcome:
    """A saved run."""
    run: outcome.Outcome = json.loads(path.read_text())
    return run


def figure(run: outcome.Outcome, placement: str, contender: str, measure: str, name: str) -> float | None:
    """One median of one contender."""
    for entry in run["figures"]:
        if (entry["placement"], entry["contender"], entry["measure"]) == (placement, contender, measure):
            value: Any = entry["median"].get(name)
            return None if value is None else float(value)
    return None


def cell(run: outcome.Outcome, placement: str, contender: str, measure: str, name: str, mine: tuple[str, str]) -> str:
    """A figure, and how many times Ironbridge's it is (or Ironbridge's it, for rates); `mine` is whose that is."""
    value = figure(run, placement, contender, measure, name)
    if value is None:
        return ""
    text = f"{outcome.number(value)} µs" if name == "p50" else f"{value:,.0f}/s"
    ours = figure(run, placement, *mine, name)
    if contender == mine[0] or not ours:
        return text
    return f"{text} ({outcome.number(value / ours if name == 'p50' else ours / value)} ×)"


def short(run: outcome.Outcome) -> list[str]:
    """For the first screen: one call, for each contender."""
    lines = [
        "| one call, `get(str) -> str`, median | both ends on one core | two cores | 16 threads, two cores |",
        "|---|---:|---:|---:|",
    ]
    for contender in ("unix", OURS, *HAND, *PEERS):
        measure = "ping" if contender == "unix" else "get"
        cells = [cell(run, placement, contender, measure, "p50", (OURS, "get")) for placement in (ONE_CORE, TWO_CORES)]
        cells.append(cell(run, TWO_CORES, contender, "threads", "rate", (OURS, "threads")))
        lines += line(contender, cells)
    lines += [*around_a_hub(run), *at_a_broker(run)]
    machine = run["machine"]
    lines += [
        "",
        f"In brackets: how many times Ironbridge is faster. {run['date'][:10]}, {machine['processor']}, "
        f"{machine['cores']} cores, {machine['python']}; "
        + ", ".join(f"{name} {version}" for name, version in run["versions"].items())
        + ".",
    ]
    if not all(place["quiet"] for place in run["placements"].values()):
        lines += ["", "**The machine was not quiet: this run counts for nothing.**"]
    return lines


def around_a_hub(run: outcome.Outcome) -> list[str]:
    """The same for services at a hub; nothing when the run did not measure them."""
    lines = [
        "",
        "| through a hub | request and response, one core | two cores | 100 in flight, two cores | broadcast to 10, two cores |",
        "|---|---:|---:|---:|---:|",
    ]
    measured = []
    for contender in (OURS_HUB, HUB):
        columns = [(ONE_CORE, "hub-request", "p50"), (TWO_CORES, "hub-request", "p50")]
        columns += [(TWO_CORES, measure, "rate") for measure in ("hub-inflight", "hub-broadcast")]
        cells = [cell(run, where, contender, what, name, (OURS_HUB, what)) for where, what, name in columns]
        measured += line(contender, cells)
    return lines + measured if measured else []


def at_a_broker(run: outcome.Outcome) -> list[str]:
    """The same for the fabric."""
    lines = [
        "",
        "| through RabbitMQ, two cores | a call | 100 calls in flight | 1 KiB published, 1,000 unconfirmed "
        "| 1 KiB delivered, each acknowledged |",
        "|---|---:|---:|---:|---:|",
    ]
    columns = [("get", "p50"), ("inflight", "rate"), ("publish1000", "rate"), ("each", "rate")]
    measured = []
    for contender in (LAPIN, OURS_FABRIC, FABRIC, AIO_PIKA):
        loop = "" if contender == LAPIN else "-asyncio"
        cells = [
            cell(run, TWO_CORES, contender, f"{what}{loop}", name, (OURS_FABRIC, f"{what}-asyncio"))
            for what, name in columns
        ]
        measured += line(contender, cells)
    return lines + measured if measured else []


def line(contender: str, cells: list[str]) -> list[str]:
    """Its line of a table; none when nothing of it was measured."""
    name = f"**{TITLES[contender]}**" if contender in (OURS, OURS_HUB, OURS_FABRIC) else TITLES[contender]
    return [f"| {name} | {' | '.join(cells)} |"] if any(cells) else []


def whole(run: outcome.Outcome) -> list[str]:
    """For the page on performance: everything."""
    return [
        *outcome.heading(run),
        "",
        *outcome.table(run),
        "",
        "Each contender's own figures:",
        "",
        *outcome.everyone(run),
    ]


def put(page: Path, lines: list[str]) -> str:
    """The page's text with the lines between its marks."""
    text = page.read_text()
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise SystemExit(f"{page.name} has no {START} … {END}")
    return "\n".join([before + START, "", *lines, "", END]) + after


def main() -> int:
    """Renders both pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", type=Path, help="a file of benches/results")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is out of date")
    asked = parser.parse_args()
    run = load(asked.run or newest())
    stale = False
    for page, lines in ((ROOT / "README.md", short(run)), (ROOT / "docs" / "performance.md", whole(run))):
        text = put(page, lines)
        stale |= text != page.read_text()
        if not asked.check:
            page.write_text(text)
    if asked.check and stale:
        print("the measured tables are not those of the newest run: python benches/render.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
