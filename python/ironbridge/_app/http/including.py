"""Controllers' routes put into the application: as they are where that means the same, since FastAPI looks for an included
router's routes twice, which costs each request some 10 µs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import APIRouter, FastAPI

_DEFAULTS: tuple[tuple[str, Any], ...] = (
    *(("prefix", ""), ("tags", []), ("dependencies", []), ("responses", {}), ("callbacks", [])),
    *(("deprecated", None), ("include_in_schema", True), ("form_limits", {}), ("max_body_size", None)),
)
"""What an application's own router has that would not change the routes it includes."""
_MARKED = ("default_response_class", "generate_unique_id_function")


def include(fastapi: FastAPI, router: APIRouter) -> None:
    """Has an application serve a router's routes."""
    own = fastapi.router
    is_plain = all(getattr(own, name, default) == default for name, default in _DEFAULTS)
    is_plain = is_plain and all("Default" in type(getattr(own, name)).__name__ for name in _MARKED)
    # FastAPI's tests override dependencies at the application, which routes must know then.
    if not is_plain or router.dependency_overrides_provider is not fastapi:
        fastapi.include_router(router)
        return
    own.routes.extend(router.routes)
    if (changed := getattr(own, "_mark_routes_changed", None)) is not None:
        changed()
