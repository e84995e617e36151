"""Whether a process lives, and whether it can serve: two endpoints for whoever starts and watches processes.

`/health/live` answers while the process does; `/health/ready` asks all that the application stands on, its bus, databases
and websockets' backend, and answers 503 with the names of those that do not answer. Neither says more than that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..core.lifecycle import Running

if TYPE_CHECKING:
    from fastapi import APIRouter

log = logging.getLogger("ironbridge.app.health")

CHECK_TIMEOUT = 2.0
"""Seconds for each check; they run side by side."""


@runtime_checkable
class Checked(Protocol):
    """An interceptor, or a provider's instance, that something outside stands behind."""

    @property
    def check_name(self) -> str:
        """What it is, for people: `database default`."""

    async def check(self) -> None:
        """Asks it; raises when it does not answer."""


async def readiness(process: Running | None) -> dict[str, str]:
    """What each check of an application says: `ok`, or `failing`. Why is in the log."""
    if process is None:
        return {"application": "failing"}
    if process.shutdown.is_set():
        return {"application": "ending"}
    return await told_by(one for one in process.interceptors if isinstance(one, Checked))


async def told_by(checks: Iterable[Checked]) -> dict[str, str]:
    """What each of these says: `ok`, or `failing`."""
    found = list(checks)
    return dict(zip([one.check_name for one in found], await asyncio.gather(*map(_told, found)), strict=True))


async def _told(checked: Checked) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            await checked.check()
    except Exception as error:
        # The answer is for strangers, too: addresses and names of users stay here.
        why = str(error) or f"no answer within {CHECK_TIMEOUT:g} s"
        log.warning("not ready: %s: %s", checked.check_name, why)
        return "failing"
    return "ok"


def health_router(ask: Callable[[], Awaitable[dict[str, str]]], path: str) -> APIRouter:
    """The two endpoints, under a path; `ask` tells what each check says."""
    from fastapi import APIRouter
    from fastapi.responses import JSONResponse

    router = APIRouter(prefix=path.rstrip("/"), include_in_schema=False)

    @router.get("/live")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/ready")
    async def ready() -> JSONResponse:
        checks = await ask()
        is_ready = all(one == "ok" for one in checks.values())
        told: dict[str, Any] = {"status": "ok" if is_ready else "failing", "checks": checks}
        return JSONResponse(told, 200 if is_ready else 503)

    return router
