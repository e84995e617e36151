"""What must not be seen in traces and logs."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

REDACTED_HEADER_VALUE = "[redacted]"
SENSITIVE_HEADERS = frozenset(
    {
        *("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-auth-token"),
        *("x-csrf-token", "x-xsrf-token", "x-amz-security-token"),
    }
)
"""Names of headers, in small letters, whose values are never shown."""
_SECRETS = ("password", "passwd", "secret", "token", "api_key", "apikey", "authorization", "credential")


def redacted_headers(headers: Iterable[tuple[str, str]], more: Collection[str] = ()) -> dict[str, list[str]]:
    """Headers by their names in small letters; the values of sensitive ones, and of `more`, are left out."""
    found: dict[str, list[str]] = {}
    hidden = SENSITIVE_HEADERS | {name.lower() for name in more}
    for name, value in headers:
        name = name.lower()
        found.setdefault(name, []).append(REDACTED_HEADER_VALUE if name in hidden else value)
    return found


def redacted_url(url: str) -> str:
    """A URL without its user's password, and without the values of its query."""
    parts = urlsplit(url)
    place = parts.netloc
    if "@" in place:
        user, _, host = place.rpartition("@")
        place = f"{user.partition(':')[0]}:{REDACTED_HEADER_VALUE}@{host}" if ":" in user else place
    query = "&".join(f"{one.partition('=')[0]}={REDACTED_HEADER_VALUE}" for one in parts.query.split("&") if one)
    return urlunsplit(parts._replace(netloc=place, query=query))


class BodyRedactor:
    """Shows JSON bodies without what is secret in them.

    Args:
        names: parts of fields' names whose values are left out; those of passwords and tokens unless given.
        most: characters that are shown at most.
    """

    def __init__(self, names: Collection[str] = _SECRETS, most: int = 5000) -> None:
        self._names, self._most = tuple(name.lower() for name in names), most

    def __call__(self, body: bytes) -> str:
        """The text that may be shown; of what is no JSON, its size alone."""
        try:
            text = json.dumps(self._redacted(json.loads(body)), ensure_ascii=False)
        except (ValueError, RecursionError):
            return f"[{len(body)} bytes]"
        return text if len(text) <= self._most else text[: self._most] + "…"

    def _redacted(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: REDACTED_HEADER_VALUE if any(one in key.lower() for one in self._names) else self._redacted(item)
                for key, item in value.items()
            }
        return [self._redacted(item) for item in value] if isinstance(value, list) else value
