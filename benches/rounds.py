"""Interleaved rounds: in each, every contender takes every measure for a moment, so that drift hits all alike."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from statistics import median

import limits
from contender import Contender, Failed, Refused
from contract import Figures
from meeting import PLACES
from rows import Row

Key = tuple[str, str, str]
"""Group, contender, measure: what is compared is measured side by side, within its group."""

Taken = dict[Key, list[Figures]]


def keys(rows: Iterable[Row]) -> list[Key]:
    """What these rows need measured, in order, each once."""
    wanted: dict[Key, None] = {}
    for row in rows:
        for term in (row.ours, row.other):
            if term is not None:
                wanted[row.group, term.contender, term.measure] = None
    return list(wanted)


def measure(
    wanted: list[Key],
    placement: str,
    rounds: int,
    seconds: float,
    programs: limits.Programs,
    tell: Callable[[str], None],
) -> tuple[Taken, dict[str, str]]:
    """Starts the contenders, takes all rounds, stops them. Also returns why some could not take part.

    All that is wanted is measured at one place.
    """
    taken: Taken = {key: [] for key in wanted}
    missing: dict[str, str] = {}
    names = dict.fromkeys(name for _, name, _ in wanted)
    with ExitStack() as stack:
        uri = None
        if place := PLACES.get(wanted[0][0]):
            try:
                uri = stack.enter_context(place(placement))
            except AssertionError as failure:
                missing |= dict.fromkeys(names, str(failure))
        contenders = {}
        for name in names:
            if name not in limits.LANES and name not in missing:
                contenders[name] = Contender(name, placement, uri)
                stack.callback(contenders[name].stop)
        for name, contender in contenders.items():
            try:
                contender.ready()
            except Failed as failure:
                missing[name] = str(failure)
        for turn in range(rounds):
            tell(f"{placement}: round {turn + 1} of {rounds}")
            for key in wanted:
                _, name, asked = key
                if name in missing or f"{name} {asked}" in missing:
                    continue
                try:
                    taken[key].append(visit(key, contenders, placement, programs, uri, seconds))
                except Failed as failure:
                    missing[name] = str(failure)
                except (Refused, RuntimeError) as failure:
                    missing[f"{name} {asked}"] = str(failure)
    return {key: figures for key, figures in taken.items() if len(figures) == rounds}, missing


def visit(
    key: Key,
    contenders: dict[str, Contender],
    placement: str,
    programs: limits.Programs,
    uri: str | None,
    seconds: float,
) -> Figures:
    """One contender's turn."""
    _, name, measure_name = key
    if name in contenders:
        return contenders[name].visit(measure_name, seconds)
    return limits.visit(programs[name], name, measure_name, placement, seconds, uri)


def ratio(row: Row, taken: Taken) -> tuple[float, float, float | None] | None:
    """The row's value, our figure and the other's: each the median over the rounds. None if not measured."""
    ours = taken.get((row.group, row.ours.contender, row.ours.measure))
    if ours is None:
        return None
    mine = [figures[row.ours.figure] for figures in ours]
    if row.other is None:
        return median(mine), median(mine), None
    others = taken.get((row.group, row.other.contender, row.other.measure))
    if others is None:
        return None
    theirs = [figures[row.other.figure] for figures in others]
    # A contender that failed in one sitting has fewer; its rounds no longer pair.
    if len(mine) != len(theirs):
        mine, theirs = [median(mine)], [median(theirs)]
    pairs = zip(theirs, mine, strict=True) if row.inverse else zip(mine, theirs, strict=True)
    return median(above / below for above, below in pairs), median(mine), median(theirs)
