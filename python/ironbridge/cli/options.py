"""Options that several commands of `ironbridge app` have. It imports `click` alone, that help be there at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def option(*names: str, **given: Any) -> Decorator:
    """An option, whose help tells its variable and its default."""
    return click.option(
        *names, show_envvar=True, **{"show_default": given.get("default") not in (None, False), **given}
    )


app_path = click.argument("app")
broker_url = option("--broker-url", "--url", envvar="BROKER_URL", help="The bus: amqp://…?exchange=…")
backend_url = option("--backend-url", envvar="BACKEND_URL", help="The Redis for delayed messages and ticks.")
src_dir = option("--src-dir", envvar="SRC_DIR", default="src", help="Looked in for modules, if it is there.")
reload = option("--reload", envvar="RELOAD", is_flag=True, help="Start again when a file changes.")
grace = option(
    "--gracious-shutdown-seconds",
    envvar="GRACIOUS_SHUTDOWN_SECONDS",
    type=float,
    default=20.0,
    help="For what runs at the end.",
)
health_port = option("--health-port", envvar="HEALTH_PORT", type=int, help="Of /health/live and /health/ready.")
health_host = option("--health-host", envvar="HEALTH_HOST", default="127.0.0.1", help="Theirs.")
force = option("--force", "-f", envvar="FORCE", is_flag=True, help="Do not ask.")
as_json = option("--json", is_flag=True, help="Print JSON instead, for programs.")
