"""Services that were loaded of files, and are loaded again when these change."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...errors import ConfigurationError
from ..service import BaseService
from .modules import NoService, ServiceFile, is_folder, services_in, whole

MASK = "**/*.py"
"""The files of a folder that are loaded; those without services are passed over."""


class Loaded:
    """The services of a broker that came of files.

    Args:
        broker: whose they are.
    """

    def __init__(self, broker: Any) -> None:
        self._broker = broker
        self._services: dict[str, tuple[ServiceFile, list[BaseService]]] = {}
        self._kinds: dict[str, list[Any]] = {}
        self.folders: list[tuple[Path, str]] = []
        """Those that were loaded, with their masks."""

    @property
    def files(self) -> dict[Path, list[str]]:
        """The paths that were loaded, by their files."""
        found: dict[Path, list[str]] = {}
        for path, (source, _) in self._services.items():
            if source.file is not None:
                found.setdefault(source.file, []).append(path)
        return found

    async def load(self, path: str, mask: str = MASK) -> list[BaseService]:
        """Loads what a path names: `module`, `module:Service`, `file.py`, `file.py:Service`, where `Service` is a class
        or a schema; or a folder, of which it loads the files that the mask means. What was loaded of that path before is replaced, unless the new cannot be had.

        Raises:
            ConfigurationError: there is no such thing, or no service in it.
            ServiceSchemaError: it is not written as services are, or there is one of its name already.
        """
        if is_folder(path):
            return await self.load_folder(path, mask)
        path = whole(path)
        known = self._services.get(path)
        source = known[0] if known is not None else ServiceFile(path)
        kinds = source.kinds()
        for service in known[1] if known is not None else ():
            if service in self._broker.services:
                await self._broker.destroy_service(service)
        try:
            made = await self._made(kinds)
        except Exception:
            # Better those of before than none.
            if known is not None:
                self._services[path] = (source, await self._made(self._kinds[path]))
            raise
        self._services[path], self._kinds[path] = (source, made), kinds
        return made

    async def load_folder(self, folder: str, mask: str = MASK) -> list[BaseService]:
        """Loads all files of a folder that have services, and of those within it.

        Raises:
            ConfigurationError: there is no such folder, or no service in it.
        """
        place = Path(whole(folder))
        made = await self.load_all(str(file) for file in services_in(place, mask))
        if not made:
            raise ConfigurationError(f"no file of {folder} like {mask} has a service")
        if (place, mask) not in self.folders:
            self.folders.append((place, mask))
        return made

    async def load_all(self, files: Iterable[str]) -> list[BaseService]:
        """Loads files, those without services left out."""
        made: list[BaseService] = []
        for file in files:
            try:
                made += await self.load(file)
            except NoService:
                self._broker.logger.debug("%s has no service", file)
        return made

    async def _made(self, kinds: list[Any]) -> list[BaseService]:
        made: list[BaseService] = []
        try:
            for kind in kinds:
                made.append(self._broker.create_service(kind))
        except Exception:
            for service in made:
                await self._broker.destroy_service(service)
            raise
        return made
