"""What a run yields, as it is saved, and as tables in Markdown."""

from statistics import median
from typing import Any

from rounds import Taken, ratio
from rows import TITLES, Row

Outcome = dict[str, Any]
"""The results file: `date`, `machine`, `versions`, `settings`, `placements`, `rows`, `figures`, `missing`."""


def verdicts(rows: list[Row], taken: dict[str, Taken]) -> list[dict[str, Any]]:
    """Each row with its value and whether it reaches."""
    entries = []
    for row in rows:
        found = ratio(row, taken.get(row.placement, {}))
        entry: dict[str, Any] = {
            "name": row.name,
            "group": row.group,
            "title": row.title,
            "placement": row.placement,
            "unit": row.unit,
            "at_most": row.at_most,
            "at_least": row.at_least,
            "time": row.ours.figure in ("p50", "cost") and row.unit == "×",
        }
        if found is not None:
            value, ours, other = found
            entry |= {"value": value, "ours": ours, "other": other, "reached": reached(row, value)}
        entries.append(entry)
    return entries


def reached(row: Row, value: float) -> bool | None:
    """None where nothing was asked for."""
    if row.at_most is not None:
        return value <= row.at_most
    if row.at_least is not None:
        return value >= row.at_least
    return None


def figures(taken: dict[str, Taken]) -> list[dict[str, Any]]:
    """Every contender's own figures: medians, and the rounds they come from."""
    return [
        {
            "placement": placement,
            "group": group,
            "contender": contender,
            "measure": measure,
            "median": {name: median(one[name] for one in visits) for name in visits[0]},
            "rounds": visits,
        }
        for placement, keys in taken.items()
        for (group, contender, measure), visits in keys.items()
        if visits
    ]


def heading(outcome: Outcome) -> list[str]:
    """Date, machine, versions, and how quiet it was: what stands above every table."""
    machine, settings = outcome["machine"], outcome["settings"]
    names = ", ".join(f"{name} {version}" for name, version in outcome["versions"].items())
    lines = [
        f"{outcome['date']}, {machine['processor']}, {machine['cores']} cores, {machine['kernel']}, "
        f"{machine['python']}. {names}. Medians of {settings['rounds']} interleaved rounds of "
        f"{settings['seconds']} s.",
        "",
    ]
    lines += [f"- {name}: {place['said']}" for name, place in outcome["placements"].items()]
    if not all(place["quiet"] for place in outcome["placements"].values()):
        lines += ["", "**The machine was not quiet: this run counts for nothing.**"]
    return lines


def table(outcome: Outcome) -> list[str]:
    """Every row beside its reach."""
    lines = ["| placement | measure | ratio | reach | | ours | other |", "|---|---|---:|---:|---|---:|---:|"]
    for row in outcome["rows"]:
        if "value" not in row:
            lines.append(f"| {row['placement']} | {row['title']} | not measured | {reach(row)} | | | |")
            continue
        mark = {True: "✓", False: "**missed**", None: ""}[row["reached"]]
        lines.append(
            f"| {row['placement']} | {row['title']} | {number(row['value'])} {row['unit']} | {reach(row)} "
            f"| {mark} | {own(row, 'ours')} | {own(row, 'other')} |"
        )
    for name, why in outcome["missing"].items():
        contender, _, measure = name.partition(" ")
        part = f"did not do `{measure}`" if measure else "took no part"
        lines += ["", f"{TITLES.get(contender, contender)} {part}: {why}"]
    return lines


def reach(row: dict[str, Any]) -> str:
    """What was asked for."""
    if row["at_most"] is not None:
        return f"≤ {number(row['at_most'])}"
    return f"≥ {number(row['at_least'])}" if row["at_least"] is not None else ""


def own(row: dict[str, Any], side: str) -> str:
    """One side's own figure: a time in µs, or a rate."""
    figure = row.get(side)
    if figure is None or row["unit"] != "×":
        return ""
    return f"{number(figure)} µs" if row["time"] else f"{figure:,.0f}/s"


def number(value: float) -> str:
    """Three digits that matter."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def everyone(outcome: Outcome) -> list[str]:
    """Each contender's own figures."""
    lines = [
        "| placement | measure | contender | p50 µs | p90 µs | p99 µs | a second |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for entry in outcome["figures"]:
        if "rate" not in (figures := entry["median"]):
            continue
        times = [number(figures[name]) if name in figures else "" for name in ("p50", "p90", "p99")]
        title = TITLES.get(entry["contender"], entry["contender"])
        lines.append(
            f"| {entry['placement']} | {entry['measure']} | {title} | {' | '.join(times)} | {figures['rate']:,.0f} |"
        )
    return lines


def markdown(outcome: Outcome) -> str:
    """The whole page of one run."""
    parts = [heading(outcome), [""], table(outcome), [""], everyone(outcome), [""]]
    return "\n".join(line for part in parts for line in part)
