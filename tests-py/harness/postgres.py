"""A private PostgreSQL."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.servers import PrivateServer


class Postgres(PrivateServer):
    """A PostgreSQL of one user, who needs no password; it forgets what it was told when it is killed."""

    program = "postgres"
    ready_line = "ready to accept connections"

    def command(self) -> Sequence[str | Path]:
        data, words = self.folder / "data", self._words()
        if not data.exists():
            data.mkdir()
            if words:
                # It refuses to run as root: its package brings a user for it.
                user = pwd.getpwnam("postgres")
                os.chown(data, user.pw_uid, user.pw_gid)
                self.folder.chmod(0o711)
            made = [*words, self._tool("initdb"), "-D", data, "-U", "tests", "--auth", "trust", "--no-sync"]
            subprocess.run(made, check=True, capture_output=True, cwd="/", timeout=30)
        where: list[str | Path] = ["-D", data, "-h", self.host, "-p", str(self.port), "-k", ""]
        return [*words, self._tool("postgres"), *where, "-F"]

    def url(self, database: str = "postgres") -> str:
        """As SQLAlchemy has it, for asyncpg."""
        return f"postgresql+asyncpg://tests@{self.host}:{self.port}/{database}"

    @staticmethod
    def _words() -> list[str | Path]:
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []

    @staticmethod
    def _tool(name: str) -> Path:
        known = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        found = shutil.which(name)
        assert known or found, f"{name} is not installed: `make setup` installs it"
        return known[-1] if known else Path(str(found))
