"""A service in a file, for tests of what loads files."""

from __future__ import annotations

from pathlib import Path


def written(file: Path, word: str, name: str = "greeter") -> Path:
    """A file with a service whose answer is a word; it is replaced at once, as editors do."""
    draft = file.with_name("draft")
    draft.write_text(
        f"""
import os
from ironbridge.mesh import BaseService, action

class Greeter(BaseService):
    name = {name!r}

    @action()
    async def hello(self, params):
        return {word!r}

    @action()
    async def pid(self, params):
        return os.getpid()
"""
    )
    return draft.replace(file)
