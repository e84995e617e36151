"""The keys of answers, as Moleculer's cachers make them: nodes of both languages find each other's.

0.14 and 0.15 (protocol 5) differ: the latter quotes texts, and tells `null` from `undefined`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ..validation.javascript import MISSING, text

HASH = 44
"""Characters of a SHA-256 in base64."""

KeyOf = Callable[[Any], str]


class Keys:
    """Makes keys.

    Args:
        quotes: whether texts are quoted, as 0.15 has it.
        max_params_length: characters of the parameters' part at most; the rest is hashed. 0: no bound.
        keygen: a function of `(action name, params, meta, keys)`, in place of all this.
    """

    def __init__(self, quotes: bool, max_params_length: int = 0, keygen: Callable[..., str] | None = None) -> None:
        self._quotes, self._most, self._keygen = quotes, max_params_length or 0, keygen

    def maker(self, action: str, keys: Sequence[str] | None, keygen: Callable[..., str] | None) -> KeyOf:
        """What makes the keys of one action, of its contexts."""
        own = keygen or self._keygen
        if own is not None:
            return lambda ctx: str(own(action, ctx.params, ctx.meta, keys))
        return lambda ctx: self.key(action, ctx.params, ctx.meta, keys, ctx.headers)

    def key(
        self,
        action: str,
        params: Any,
        meta: Mapping[str, Any] | None = None,
        keys: Sequence[str] | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> str:
        """The key of a call."""
        if params is None and meta is None and not (self._quotes and headers is not None):
            return action
        if keys is None:
            return f"{action}:{self._short(self._of(params))}"
        if not keys:
            return action
        values = [_value(name, params, meta, headers) for name in keys]
        if len(values) == 1:
            return f"{action}:{self._short(self._single(values[0]))}"
        return f"{action}:{self._short('|'.join(self._part(value) for value in values))}"

    def _single(self, value: Any) -> str:
        if self._quotes:
            return self._of(value)
        return self._short(self._of(value)) if isinstance(value, dict | list) else text(value)

    def _part(self, value: Any) -> str:
        if isinstance(value, dict | list):
            return self._short(self._of(value))
        return self._of(value) if self._quotes else text(value)

    def _of(self, value: Any) -> str:
        if isinstance(value, list | tuple):
            return f"[{'|'.join(self._of(one) for one in value)}]"
        if isinstance(value, datetime):
            return str(int(value.timestamp() * 1000))
        if isinstance(value, Mapping):
            return "|".join(f"{key}|{self._of(one)}" for key, one in value.items())
        if isinstance(value, str) and self._quotes:
            return f'"{value}"'
        if value is MISSING:
            return "undefined" if self._quotes else "null"
        return text(value)

    def _short(self, key: str) -> str:
        if self._most < HASH or len(key) <= self._most:
            return key
        digest = base64.b64encode(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()).decode()
        return key[: self._most - HASH] + digest


def _value(name: str, params: Any, meta: Mapping[str, Any] | None, headers: Mapping[str, Any] | None) -> Any:
    """What a name means: in the parameters, in meta with `#` before it, in headers with `@`; parts by dots."""
    if name.startswith("#") and meta is not None:
        value, name = meta, name[1:]
    elif name.startswith("@") and headers is not None:
        value, name = headers, name[1:]
    else:
        value = params
    if isinstance(value, Mapping) and name in value:
        return value[name]
    found: Any = value
    for part in name.split("."):
        if isinstance(found, Mapping) and part in found:
            found = found[part]
        elif isinstance(found, list) and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        else:
            return MISSING
    return found
