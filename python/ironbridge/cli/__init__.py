"""The command `ironbridge`: one file for each of its commands, `app` puts them together."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Runs the command; without its libraries, says in one line what to install and exits with 2."""
    try:
        import rich
        import typer

        del rich, typer
    except ImportError as error:
        print(
            f"ironbridge: the command needs {error.name}: pip install 'ironbridge[cli]'",
            file=sys.stderr,
        )
        sys.exit(2)

    from ironbridge.cli.app import run

    run()
