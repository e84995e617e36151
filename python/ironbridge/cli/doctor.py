"""`ironbridge doctor`: whether this machine is fit, and what to do where it is not."""

from __future__ import annotations

import typer
from rich.text import Text

from ironbridge.cli import health, show

_SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "bold red")}


def doctor(json: show.AsJson = False) -> None:
    """Check this machine: Python, kernel, limits, runtime directory, live services, stale leases."""
    findings = list(health.look())
    if json:
        show.as_json([vars(finding) for finding in findings])
    else:
        show.table(["", "CHECK", "FOUND", "WHAT TO DO"], (_row(finding) for finding in findings))
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)


def _row(finding: health.Finding) -> list[object]:
    sign, style = _SIGNS[finding.state]
    return [Text(sign, style=style), finding.check, finding.detail, Text(finding.advice, style=style)]
