"""Metrics as Prometheus reads them, and the small server that it reads them from."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterable
from typing import Any

from ...errors import ConfigurationError
from .kinds import Metric
from .naming import Naming

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LONGEST = 8192
_PATIENCE = 5.0
_NAME = re.compile(r"[^a-zA-Z0-9_]")


def written(metrics: Iterable[Metric], broker: Any, naming: Naming) -> str:
    """The text format 0.0.4. Names are Moleculer's, with `_` for `.` and `-`.

    Args:
        metrics: the metrics.
        broker: whose they are.
        naming: which of them are written, and under which names.
    """
    lines: list[str] = []
    for metric in metrics:
        if not naming.wants(metric.name, metric.kind):
            continue
        name = _NAME.sub("_", naming.named(metric.name))
        kind = "gauge" if metric.kind == "info" else metric.kind
        if metric.description:
            lines.append(f"# HELP {name} {_escaped(metric.description)}")
        lines.append(f"# TYPE {name} {kind}")
        for added, own, value in metric.samples():
            if metric.kind == "info" and not isinstance(value, int | float):
                own, value = {**own, "value": value}, 1
            both = naming.labels(broker, own)
            shown = ",".join(f'{_NAME.sub("_", key)}="{_escaped(_shown(one), True)}"' for key, one in both.items())
            lines.append(f"{name}{added}{{{shown}}} {_number(value)}")
    return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    return "" if value is None else "true" if value is True else "false" if value is False else str(value)


def _number(value: Any) -> str:
    return "NaN" if value is None else str(int(value)) if isinstance(value, bool) else str(value)


def _escaped(text: str, quoted: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quoted else text


class PrometheusServer:
    """Serves the metrics on this machine, unless told otherwise.

    Args:
        text: gives what is served of a choice of metrics.
        host: where it listens.
        port: on which port; 0: any, which `address` tells.
        path: under which path.
        naming: which metrics, and under which names, as `Naming` has them.

    Raises:
        BrokerOptionsError: as `Naming`.
    """

    def __init__(
        self,
        text: Callable[[Naming], str],
        host: str = "127.0.0.1",
        port: int = 3030,
        path: str = "/metrics",
        **naming: Any,
    ) -> None:
        self._text, self._place, self._path, self._naming = text, (host, port), path, Naming(**naming)
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return str(host), int(port)

    async def start(self) -> None:
        """Listens.

        Raises:
            ConfigurationError: the port is taken.
        """
        try:
            self._server = await asyncio.start_server(self._serve, *self._place, limit=_LONGEST)
        except OSError as error:
            raise ConfigurationError(
                f"metrics cannot be served at {self._place}: {error}; give another port"
            ) from error

    async def close(self) -> None:
        """Listens no more."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                words = head.split(b"\r\n", 1)[0].decode(errors="replace").split()
                is_known = len(words) == 3 and words[0] == "GET" and words[1].split("?")[0] == self._path
                body = self._text(self._naming).encode() if is_known else b"not found\n"
                status = "200 OK" if is_known else "404 Not Found"
                writer.write(
                    f"HTTP/1.1 {status}\r\ncontent-type: {CONTENT_TYPE}\r\ncontent-length: {len(body)}\r\n"
                    "connection: close\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
