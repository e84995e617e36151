"""The command `ironbridge`: one file for each of its commands, `app` puts them together."""

from __future__ import annotations

import sys

__all__ = ["main"]

_NEEDED = ("click", "rich", "typer")


def main() -> None:
    """Runs the command; without its libraries, says in one line what to install and exits with 2."""
    try:
        # What `ironbridge app` needs is imported alone: with typer and rich its help would take several times as long.
        if sys.argv[1:2] == ["app"]:
            from ironbridge.cli.application import main as run_app

            run_app(sys.argv[2:])
            return
        from ironbridge.cli.app import run
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _NEEDED:
            raise
        print(f"ironbridge: the command needs {missing}: pip install 'ironbridge[cli]'", file=sys.stderr)
        sys.exit(2)
    run()
