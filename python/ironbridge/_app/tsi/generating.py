"""The whole file."""

from __future__ import annotations

import json
import re
from typing import Any

from ...errors import ConfigurationError
from ..core.microservice import Microservice
from ..http.server import HttpMicroservice
from ..ws.messages import RegisterWebSocketMessage
from . import runtime as parts
from .collecting import declarations
from .controllers import Writer
from .decorators import ExposeType
from .endpoints import Endpoint, endpoints_of
from .hooks import hooks_of
from .naming import quoted
from .shapes import Shapes
from .types import Types

_IMPORTED = (
    "HttpService",
    "createClassQueryHooks",
    "createClassMutationHooks",
    "createClassInfiniteQueryHooks",
    "paginationModelByFirstArgPaginationFilter",
    "recursiveCamelToSnakeCase",
)


def generate(app: Microservice | HttpMicroservice, *, runtime: str = "fetch") -> str:
    """An application's TypeScript: its runtime, its models by name, and a class for each controller.

    Fields are in camelCase. The `fetch` runtime renames them on the way to the server and back, where models have them
    and nowhere else: the keys of dictionaries stay. With `jararaca`, that is left to `@jararaca/core`.

    Args:
        app: the application.
        runtime: `"fetch"`, which needs nothing, or `"jararaca"`, for npm's `@jararaca/core`.

    Raises:
        ConfigurationError: there is no such runtime, or two things would have one name.
    """
    if runtime not in ("fetch", "jararaca"):
        raise ConfigurationError(f"runtime={runtime!r}: give 'fetch' or 'jararaca'")
    http = app if isinstance(app, HttpMicroservice) else HttpMicroservice(app)
    types = Types()
    controllers = _controllers(http)
    by_name = any(not one.by_alias for endpoints in controllers.values() for one in endpoints)
    shapes = Shapes(types, by_name) if runtime == "fetch" else None
    writer = Writer(types, shapes)
    messages = _messages(http.app)
    for endpoints in controllers.values():
        for endpoint in endpoints:
            writer.reach(endpoint)
    for message in messages.values():
        types.of(message)
    for exposed in ExposeType.known:
        types.of(exposed)
    models = declarations(types, [controller.__name__ for controller in controllers])
    classes = []
    for controller, endpoints in controllers.items():
        classes.append(writer.written(controller, endpoints))
        if shapes is None and (hooks := hooks_of(controller)):
            classes.append(hooks)
    body = [_map(messages, types), parts.MESSAGES, *models, *classes]
    head = _fetch(body, shapes, messages) if shapes is not None else _jararaca(body)
    return "\n\n".join(part.strip() for part in [parts.HEAD, *head, *body]) + "\n"


def _controllers(http: HttpMicroservice) -> dict[type[Any], list[Endpoint]]:
    found: dict[type[Any], list[Endpoint]] = {}
    for controller in dict.fromkeys(http.app.controllers):
        endpoints = endpoints_of(controller, tuple(http.middlewares))
        if endpoints is not None:
            if any(one.__name__ == controller.__name__ for one in found):
                raise ConfigurationError(f"two controllers are called {controller.__name__}: rename one")
            found[controller] = endpoints
    return found


def _messages(app: Microservice) -> dict[str, Any]:
    """The messages to websockets, by their ids."""
    found: dict[str, Any] = {}
    for controller in app.controllers:
        for registered in RegisterWebSocketMessage.get_all_from_type(controller):
            for message in registered.types:
                if found.setdefault(message.MESSAGE_ID, message) is not message:
                    raise ConfigurationError(f"two messages have the id {message.MESSAGE_ID!r}: change one")
    return dict(sorted(found.items()))


def _map(messages: dict[str, Any], types: Types) -> str:
    lines = "".join(f"  {quoted(name)}: {types.of(message)};\n" for name, message in messages.items())
    return f"export type WebSocketMessageMap = {{\n{lines}}};"


def _fetch(body: list[str], shapes: Shapes, messages: dict[str, Any]) -> list[str]:
    reading = _reading(messages, shapes)
    used = "\n".join([*body, *reading])
    conversion = []
    for name, is_input, function in (("encode", True, parts.ENCODE), ("decode", False, parts.DECODE)):
        if _calls(name, used):
            table = f"const {'toServer' if is_input else 'fromServer'}: Shapes = {shapes.table(is_input)};"
            conversion += [table, function]
    if conversion:
        conversion.insert(0, parts.CONVERSION)
    return [parts.FETCH, *_helpers(used, "one"), *conversion, *reading]


def _reading(messages: dict[str, Any], shapes: Shapes) -> list[str]:
    """What reads messages to websockets."""
    if not messages:
        return []
    told = {name: shape for name, one in messages.items() if (shape := shapes.of(one, False)) is not None}
    if not told:
        return [parts.READING.replace("RETURNED", "told")]
    table = f"const messageShapes: {{ [id: string]: Shape }} = {json.dumps(told, ensure_ascii=False)};"
    returned = "{ ...told, message: decode(told.message, messageShapes[told.MESSAGE_ID] ?? null) }"
    return [table, parts.READING.replace("RETURNED", returned)]


def _jararaca(body: list[str]) -> list[str]:
    helpers = _helpers("\n".join(body), "recursiveCamelToSnakeCase(one)")
    used = "\n".join([*body, *helpers])
    names = ", ".join(name for name in _IMPORTED if re.search(rf"\b{name}\b", used))
    return [f"import {{ {names} }} from {quoted(parts.JARARACA)};", *helpers] if names else helpers


def _helpers(used: str, plain: str) -> list[str]:
    """Those functions that are called."""
    of = (("makeFormData", parts.FORMS), ("makeHeaders", parts.HEADERS), ("makeCookies", parts.COOKIES))
    return [text.replace("PLAIN", plain) for name, text in of if _calls(name, used)]


def _calls(function: str, text: str) -> bool:
    return re.search(rf"\b{function}\(", text) is not None
