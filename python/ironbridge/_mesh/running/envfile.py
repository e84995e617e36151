"""Files of environment variables, `.env`, as the npm package dotenv reads them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ...errors import ConfigurationError

# A value in quotes may go over several lines; without, it ends with the line, or where a comment begins.
_LINE = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?([\w.-]+)(?:[ \t]*=|:[ \t])[ \t]*
        (?:'((?:\\'|[^'])*)'|"((?:\\"|[^"])*)"|`((?:\\`|[^`])*)`|([^\#\r\n]*))
        [ \t]*(?:\#[^\r\n]*)?$""",
    re.MULTILINE | re.VERBOSE,
)


def load_env_file(path: str | Path = ".env") -> None:
    """Puts a file's variables into the environment. Those that are there already stay.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the environment file {path} cannot be read: {error}") from None
    for name, value in read(text).items():
        os.environ.setdefault(name, value)


def read(text: str) -> dict[str, str]:
    """The variables of a text; of a name that is there twice, the last."""
    found: dict[str, str] = {}
    for line in _LINE.finditer(text.replace("\r\n", "\n")):
        name, single, double, back, bare = line.groups()
        if double is not None:
            value = double.replace("\\n", "\n").replace("\\r", "\r")
        else:
            value = next((one for one in (single, back) if one is not None), (bare or "").strip())
        found[name] = value
    return found
