"""`ironbridge call`: one call from the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from ironbridge import bridge
from ironbridge.cli import fleet, show, words


def call(
    name: Annotated[
        str, typer.Argument(help="The service, or tcp://host:port/name, or tls://...", autocompletion=fleet.names)
    ],
    endpoint: Annotated[str, typer.Argument(help="What to call.")],
    args: Annotated[
        list[str] | None,
        typer.Argument(help="Arguments: JSON where it is JSON, else text.", show_default=False),
    ] = None,
    kwargs: Annotated[str | None, typer.Option(help="Named arguments, as a JSON object.")] = None,
    init: Annotated[
        str | None, typer.Option(help="The constructor's arguments: a JSON list, or an object of named ones.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds the call may take.")] = None,
    token: Annotated[str | None, typer.Option(help="A network service's token.", envvar="IRONBRIDGE_TOKEN")] = None,
    json: show.AsJson = False,
) -> None:
    """Call an endpoint and print what it returns."""
    positional, named = words.arguments(init, "--init")
    _, keywords = words.arguments(kwargs, "--kwargs")
    with bridge.connect(name, *positional, init=named, token=token, timeout=5.0) as client:
        caller = client if timeout is None else client.with_options(timeout=timeout)
        result = caller.call(endpoint, *map(words.value, args or []), **keywords)
    if json:
        show.as_json(result)
    else:
        show.value(result)
