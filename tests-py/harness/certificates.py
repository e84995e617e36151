"""Certificates made on the spot, for servers and clients that speak TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path


class Authority:
    """A certificate authority in `folder`, and a certificate that it issued for `localhost`.

    Its files are `ca.pem`, and `certificate.pem` with `key.pem`; `issue` adds others.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._openssl(f"req -x509 {_NEW} -subj /CN=authority -keyout ca.key -out ca.pem")
        self._issue("service", self.folder / "certificate.pem", self.folder / "key.pem")

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def issue(self, name: str) -> tuple[Path, Path]:
        """A certificate with that common name, and its key."""
        files = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        self._issue(name, *files)
        return files

    def _issue(self, name: str, certificate: Path, key: Path) -> None:
        self._openssl(f"req {_NEW} -subj /CN={name} -keyout {key} -out request.csr")
        (self.folder / "names").write_text("subjectAltName=DNS:localhost\n")
        signed = "-CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -days 2"
        self._openssl(f"x509 -req -in request.csr -out {certificate} {signed}")

    def _openssl(self, words: str) -> None:
        subprocess.run(["openssl", *words.split()], cwd=self.folder, check=True, capture_output=True)


_NEW = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
