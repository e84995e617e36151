"""Controllers' routes put into the application so that a request finds its own quickly: FastAPI looks for an included
router's routes twice, and compares each request with the paths of its documentation first, which costs some 10 and 5 µs."""

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
    _tell_changed(fastapi)


def look_at_documentation_last(fastapi: FastAPI) -> None:
    """Puts the routes of OpenAPI's documentation behind all others, unless one of those would take their requests."""
    from starlette.routing import Match

    routes = fastapi.router.routes
    paths = {fastapi.openapi_url, fastapi.docs_url, fastapi.swagger_ui_oauth2_redirect_url, fastapi.redoc_url}
    documentation = [one for one in routes if getattr(one, "path", None) in paths]
    others = [one for one in routes if one not in documentation]
    for document in documentation:
        asked = {"type": "http", "method": "GET", "path": document.path, "root_path": "", "headers": []}  # type: ignore[attr-defined]
        if any(one.matches(dict(asked))[0] is not Match.NONE for one in others):
            return
    routes[:] = [*others, *documentation]
    _tell_changed(fastapi)


def _tell_changed(fastapi: FastAPI) -> None:
    if (changed := getattr(fastapi.router, "_mark_routes_changed", None)) is not None:
        changed()
