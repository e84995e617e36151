"""Controllers as client classes: one method for each endpoint."""

from __future__ import annotations

from typing import Any

from .endpoints import Endpoint
from .naming import quoted
from .parameters import Parameter
from .shapes import Shapes
from .types import Types

_READ_AS = {
    "arraybuffer": "ArrayBuffer",
    "blob": "Blob",
    "document": "Document",
    "stream": "ReadableStream<Uint8Array>",
}


class Writer:
    """Writes client classes.

    Args:
        types: which writes types.
        shapes: what is renamed on the way; `None` when the runtime sees to that.
    """

    def __init__(self, types: Types, shapes: Shapes | None) -> None:
        self._types, self._shapes = types, shapes

    def written(self, controller: type[Any], endpoints: list[Endpoint]) -> str:
        """A class."""
        methods = "\n".join(self._method(one) for one in endpoints)
        return f"export class {controller.__name__} extends HttpService {{\n{methods}\n}}"

    def reach(self, endpoint: Endpoint) -> None:
        """Has the types of an endpoint be declared."""
        self._result(endpoint)
        for one in endpoint.parameters:
            self._type(one)

    def _method(self, endpoint: Endpoint) -> str:
        result = self._result(endpoint)
        shape = self._shapes.written(endpoint.result, False) if self._shapes is not None else None
        parts = [
            f"method: {quoted(endpoint.method)}",
            f"path: `{endpoint.path.replace('`', '%60')}`",
            f"pathParams: {_object(self._parts(endpoint, 'path'))}",
            f"headers: {self._headers(endpoint)}",
            f"query: {_object(self._parts(endpoint, 'query'))}",
            f"body: {self._body(endpoint)}",
        ]
        if endpoint.response_type is not None:
            parts.append(f"responseType: {quoted(endpoint.response_type)}")
        request = "".join(f"      {part},\n" for part in parts)
        given = "decode(response, " + shape + ")" if shape is not None else "response"
        return (
            f"  async {endpoint.name}({self._arguments(endpoint)}): Promise<{result}> {{\n"
            f"    const response = await this.httpBackend.request<{'any' if shape else result}>({{\n{request}    }});\n"
            f"    return {given};\n  }}"
        )

    def _result(self, endpoint: Endpoint) -> str:
        if endpoint.response_type in _READ_AS:
            return _READ_AS[endpoint.response_type]
        result = self._types.of(endpoint.result)
        if endpoint.response_type == "text" and result == "any":
            return "string"
        return "void" if result == "null" else result

    def _arguments(self, endpoint: Endpoint) -> str:
        """In their order: those that may be left out at the end are marked so, those before others may be undefined."""
        found: list[str] = []
        may_end = True
        for one in reversed(endpoint.parameters):
            is_needed = one.required and one.kind != "cookie"
            may_end = may_end and not is_needed
            kind = self._type(one)
            found.append(f"{one.name}{'?' if may_end else ''}: {kind}{'' if is_needed or may_end else ' | undefined'}")
        return ", ".join(reversed(found))

    def _type(self, one: Parameter) -> str:
        return self._types.of_file(one.annotation) if one.is_file else self._types.of(one.annotation, True)

    def _parts(self, endpoint: Endpoint, kind: str) -> list[tuple[str, str]]:
        return [part for one in endpoint.parameters if one.kind == kind for part in self._parts_of(one)]

    def _parts_of(self, one: Parameter) -> list[tuple[str, str]]:
        return one.parts(self._types.sides_of(one.model, True))

    def _headers(self, endpoint: Endpoint) -> str:
        found: list[tuple[str, str]] = []
        is_text = True
        for one in (one for one in endpoint.parameters if one.kind == "header"):
            # npm's runtime writes the hyphens itself.
            is_theirs = self._shapes is None and one.model is None and not one.is_exact
            found += [(one.wire.replace("-", "_"), one.name)] if is_theirs else self._parts_of(one)
            is_text = is_text and one.model is None and one.required and self._type(one) == "string"
        if cookies := [part for one in endpoint.parameters if one.kind == "cookie" for part in self._parts_of(one)]:
            found.append(
                ("cookie", f"makeCookies({{ {', '.join(f'{quoted(name)}: {value}' for name, value in cookies)} }})")
            )
            is_text = False
        return _object(found) if is_text else f"makeHeaders({_object(found)})"

    def _body(self, endpoint: Endpoint) -> str:
        given = [one for one in endpoint.parameters if one.kind in ("body", "form")]
        if not given:
            return "undefined"
        if any(one.kind == "form" for one in given):
            return f"makeFormData({_object([part for one in given for part in self._form_parts(one)])})"
        if not endpoint.embeds:
            return self._encoded(given[0])
        return _object([(one.wire, self._encoded(one)) for one in given])

    def _form_parts(self, one: Parameter) -> list[tuple[str, str]]:
        if one.is_one_of:
            return [("", self._encoded(one) if self._shapes is not None else f"recursiveCamelToSnakeCase({one.name})")]
        return (
            self._parts_of(one)
            if one.model is not None
            else [(one.wire, one.name if one.is_file else self._encoded(one))]
        )

    def _encoded(self, one: Parameter) -> str:
        shape = self._shapes.written(one.annotation, True) if self._shapes is not None else None
        return one.name if shape is None else f"encode({one.name}, {shape})"


def _object(pairs: list[tuple[str, str]]) -> str:
    """An object; what is under no name gives it all that it has."""
    lines = [f"{quoted(name)}: {value}" if name else f"...{value}" for name, value in pairs]
    return "{\n" + "".join(f"        {line},\n" for line in lines) + "      }" if pairs else "{}"
