"""Mixins: schemas that are put together, each kind of member in its own way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_LIFECYCLE = ("merged", "created", "started", "stopped")


def merged(schema: Mapping[str, Any], schema_of: Callable[[Any], Mapping[str, Any]]) -> dict[str, Any]:
    """A schema with all of its mixins, theirs first."""
    mixins = schema.get("mixins") or ()
    mixins = mixins if isinstance(mixins, list | tuple) else [mixins]
    own = {key: value for key, value in schema.items() if key != "mixins"}
    if not mixins:
        return own
    # As Moleculer does it: of several mixins, the first wins.
    whole: dict[str, Any] = {}
    for mixin in reversed(mixins):
        whole = combine(whole, merged(schema_of(mixin), schema_of))
    return combine(whole, own)


def combine(mixin: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What two schemas make: the second's values win where only one can hold."""
    whole = dict(mixin)
    for key, value in own.items():
        custom = own.get(f"mergeSchema{key[:1].upper()}{key[1:]}") or own.get(f"merge_schema_{key}")
        if key not in mixin:
            whole[key] = value
        elif callable(custom):
            whole[key] = custom(mixin[key], value)
        else:
            whole[key] = _member(key, mixin[key], value)
    return whole


def _member(key: str, mixin: Any, own: Any) -> Any:
    if key in ("settings", "metadata"):
        return _secure(_deep(mixin or {}, own or {}), mixin or {}, own or {})
    if key == "actions":
        return _actions(mixin or {}, own or {})
    if key == "events":
        return _events(mixin or {}, own or {})
    if key == "channels":
        return _deep(mixin or {}, own or {})
    if key == "methods":
        return {**(mixin or {}), **(own or {})}
    if key == "hooks":
        return _hooks(mixin or {}, own or {})
    if key == "dependencies":
        return _union(_list(mixin), _list(own))
    if key == "stopped":
        return _list(own) + _list(mixin)
    if key in _LIFECYCLE:
        return _list(mixin) + _list(own)
    if key in ("name", "version"):
        return mixin if own in (None, "") else own
    return own if own is not None else mixin


def _deep(mixin: Any, own: Any) -> Any:
    """Objects are put together; of other values the second wins."""
    if not isinstance(mixin, Mapping) or not isinstance(own, Mapping):
        return own
    whole = dict(mixin)
    for key, value in own.items():
        whole[key] = _deep(mixin[key], value) if key in mixin else value
    return whole


def _secure(whole: dict[str, Any], mixin: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    secure = _union(_list(mixin.get("$secureSettings")), _list(own.get("$secureSettings")))
    return {**whole, "$secureSettings": secure} if secure else whole


def _schema(value: Any) -> dict[str, Any]:
    return {"handler": value} if callable(value) or isinstance(value, list) else dict(value)


def _actions(mixin: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    whole = dict(mixin)
    for name, value in own.items():
        if value is False:
            # The service does not want it.
            whole.pop(name, None)
        elif name in mixin and mixin[name] is not False:
            first, second = _schema(mixin[name]), _schema(value)
            hooks = _hooks(first.get("hooks") or {}, second.get("hooks") or {})
            whole[name] = {**_deep(first, second), **({"hooks": hooks} if hooks else {})}
        else:
            whole[name] = value
    return whole


def _events(mixin: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    whole = dict(mixin)
    for name, value in own.items():
        if name in mixin:
            first, second = _schema(mixin[name]), _schema(value)
            handlers = _list(first.get("handler")) + _list(second.get("handler"))
            whole[name] = {**_deep(first, second), "handler": handlers}
        else:
            whole[name] = value
    return whole


def _hooks(mixin: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Before the call the mixin's come first, after it the service's."""
    whole: dict[str, Any] = {}
    for when in [*mixin, *(when for when in own if when not in mixin)]:
        first, second = mixin.get(when) or {}, own.get(when) or {}
        if not isinstance(first, Mapping) or not isinstance(second, Mapping):
            # Those of one action.
            lists = (_list(first or None), _list(second or None))
            whole[when] = lists[0] + lists[1] if when == "before" else lists[1] + lists[0]
            continue
        names: dict[str, Any] = {}
        for name in [*first, *(name for name in second if name not in first)]:
            lists = (_list(first.get(name)), _list(second.get(name)))
            names[name] = lists[0] + lists[1] if when == "before" else lists[1] + lists[0]
        whole[when] = names
    return whole


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _union(first: list[Any], second: list[Any]) -> list[Any]:
    return first + [one for one in second if one not in first]
