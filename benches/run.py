"""Measures Ironbridge beside native limits and peers. `--help` says how; `results/` keeps what came out."""

import argparse
import importlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import limits
import machine
import outcome
import rounds
from peers import js_mesh
from placement import ALL, ONE_CORE, TWO_CORES, cores
from quiet import Snapshot, Verdict
from rows import MOLECULER, OURS, OURS_FABRIC, OURS_HUB, OURS_MESH, OURS_MESH_UVLOOP, Row, all_rows, apart

SITTINGS = 3
RESULTS = Path(__file__).with_name("results")


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the essential rows, in under a minute")
    parser.add_argument("--rows", action="append", default=[], metavar="PART", help="rows whose name has this")
    parser.add_argument("--placement", choices=ALL, action="append", help="one placement only")
    parser.add_argument("--rounds", type=int, help="interleaved rounds")
    parser.add_argument("--seconds", type=float, help="how long each measure takes in each round")
    parser.add_argument("--list", action="store_true", help="say what rows there are, and end")
    parser.add_argument("--json", action="store_true", help="print the results file, not the table")
    parser.add_argument("--no-save", action="store_true", help="write nothing to benches/results")
    asked = parser.parse_args()
    asked.rounds = asked.rounds or (3 if asked.quick else 9)
    asked.seconds = asked.seconds or (0.15 if asked.quick else 0.4)
    return asked


def chosen(asked: argparse.Namespace) -> list[Row]:
    """The rows that the command line selects."""
    return [
        row
        for row in all_rows()
        if (not asked.quick or row.quick)
        and (not asked.rows or any(part in row.name for part in asked.rows))
        and (not asked.placement or row.placement in asked.placement)
    ]


def tell(text: str) -> None:
    """Progress, beside the results."""
    print(text, file=sys.stderr, flush=True)


def measure(rows: list[Row], asked: argparse.Namespace) -> outcome.Outcome:
    """Takes every row's measures, one placement after the other."""
    programs = limits.build({name for _, name, _ in rounds.keys(rows) if name in limits.LANES})
    taken: dict[str, rounds.Taken] = {}
    missing: dict[str, str] = {}
    places: dict[str, dict[str, object]] = {}
    for placement in ALL:
        here = [row for row in rows if row.placement == placement]
        if not here:
            continue
        before = Snapshot.take()
        taken[placement] = {}
        for part in apart(here):
            # A process's own luck (where its pages lie) moves its figures by a tenth: so it starts several times.
            sittings = 1 if asked.quick or part[0].alone else min(SITTINGS, asked.rounds)
            for sitting in range(sittings):
                share = asked.rounds // sittings + (sitting < asked.rounds % sittings)
                found, lost = rounds.measure(rounds.keys(part), placement, share, asked.seconds, programs, tell)
                for key, figures in found.items():
                    taken[placement].setdefault(key, []).extend(figures)
                missing |= lost
        verdict = Verdict.between(before, Snapshot.take())
        places[placement] = verdict.as_json() | {"said": str(verdict)}
        tell(f"{placement}: {verdict}")
    contenders = {name for keys in taken.values() for _, name, _ in keys}
    used = [
        used for name in contenders - {*limits.LANES} for used in importlib.import_module(f"peers.{name}").DISTRIBUTIONS
    ]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine.describe(),
        "versions": machine.versions(used) | others(contenders),
        "settings": {"rounds": asked.rounds, "seconds": asked.seconds, "quick": asked.quick},
        "placements": places,
        "missing": missing,
        "rows": outcome.verdicts(rows, taken),
        "figures": outcome.figures(taken),
    }


def others(contenders: set[str]) -> dict[str, str]:
    """Versions of what is no Python package."""
    found = machine.broker() if OURS_FABRIC in contenders else {}
    for name in contenders & {*MOLECULER}:
        found |= js_mesh.versions(importlib.import_module(f"peers.{name}").PROTOCOL)
    return found


def save(result: outcome.Outcome, asked: argparse.Namespace) -> Path:
    """Keeps the run as data and as a page. A quick or partial run says so in its name."""
    RESULTS.mkdir(exist_ok=True)
    kind = "-quick" if asked.quick else "-part" if asked.rows or asked.placement else ""
    stem = result["date"].replace(" UTC", "").replace(" ", "T").replace(":", "")
    path = RESULTS / f"{stem}{kind}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    path.with_suffix(".md").write_text(outcome.markdown(result))
    return path


def main() -> int:
    """Runs what was asked; fails only when Ironbridge itself could not be measured."""
    asked = options()
    rows = chosen(asked)
    if asked.list:
        print("\n".join(row.name for row in rows))
        return 0
    if cores() < 2 and any(row.placement == TWO_CORES for row in rows):
        tell(f"only one core: every {TWO_CORES} figure is {ONE_CORE} in truth")
    result = measure(rows, asked)
    if asked.json:
        print(json.dumps(result, indent=1, ensure_ascii=False))
    else:
        print("\n".join([*outcome.heading(result), "", *outcome.table(result)]))
    if not asked.no_save:
        tell(f"saved: {save(result, asked)}")
    lacking = {
        name: why
        for name, why in result["missing"].items()
        if name.split()[0] in (OURS, OURS_HUB, OURS_FABRIC, OURS_MESH, OURS_MESH_UVLOOP)
    }
    for name, why in lacking.items():
        tell(f"Ironbridge could not be measured: {name}: {why}")
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
