"""Loading services again when their files change."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from .loaded import Loaded
from .modules import services_in

LOOK = 0.5
"""Seconds between two looks at the files."""

Stamp = tuple[int, int, int]


class HotReload:
    """Watches the files that services came of, and the folders that were loaded for new ones.

    A file that cannot be loaded is told in the log, and its services stay as they were. Modules that it imports are not
    watched.

    Args:
        broker: whose log it writes into.
        loaded: the services.
        look: seconds between two looks.
    """

    def __init__(self, broker: Any, loaded: Loaded, look: float = LOOK) -> None:
        self._logger, self._loaded, self._look = broker.get_logger("hot"), loaded, look
        self._seen: dict[Path, Stamp | None] = {file: stamp_of(file) for file in [*loaded.files, *self._in_folders()]}

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await asyncio.sleep(self._look)
            await self.look()

    async def look(self) -> None:
        """Loads what has changed since the last look, or has come."""
        stamps = await asyncio.to_thread(self._stamps)
        changed = [file for file, stamp in stamps.items() if self._seen.get(file, stamp) != stamp]
        # One that is away for a moment, while an editor replaces it, has changed when it is there again.
        self._seen.update(stamps)
        for file in changed:
            for path in self._loaded.files[file]:
                await self._load(file, path)
        for file in await asyncio.to_thread(self._new):
            self._seen[file] = stamp_of(file)
            await self._load(file, str(file))

    async def _load(self, file: Path, path: str) -> None:
        try:
            made = await self._loaded.load_all([path])
        except Exception:
            self._logger.exception("%s has changed and cannot be loaded: its services stay as they were", file)
        else:
            self._logger.info("%s has changed: %s loaded", file, ", ".join(one.full_name for one in made) or "nothing")

    def _stamps(self) -> dict[Path, Stamp]:
        found = {file: stamp_of(file) for file in self._loaded.files}
        return {file: stamp for file, stamp in found.items() if stamp is not None}

    def _new(self) -> list[Path]:
        known = self._loaded.files
        return [file for file in self._in_folders() if file not in known and self._seen.get(file) != stamp_of(file)]

    def _in_folders(self) -> list[Path]:
        folders = [(folder, mask) for folder, mask in self._loaded.folders if folder.is_dir()]
        return [file for folder, mask in folders for file in services_in(folder, mask)]


def stamp_of(file: Path) -> Stamp | None:
    """What differs when a file has been written; `None` when it is not there."""
    try:
        told = os.stat(file)
    except OSError:
        return None
    return told.st_mtime_ns, told.st_size, told.st_ino
