"""What a service says of itself: its schema document, made readable."""

from __future__ import annotations

from typing import Any, NamedTuple

_PREFIX = {"var_positional": "*", "var_keyword": "**"}


class EndpointDescription(NamedTuple):
    """One endpoint.

    Attributes:
        name: the name it answers to first.
        signature: its parameters and result, as in Python: `(a: int, b: int = 1) -> str`.
        doc: its docstring, or an empty string.
        aliases: further names.
        coroutine: whether it is an `async def` in the service.
        kind: `"instance"`, `"static"`, `"class"` or `"function"`.
    """

    name: str
    signature: str
    doc: str
    aliases: tuple[str, ...]
    coroutine: bool
    kind: str


class Description:
    """A service's page: `print(client.describe())`.

    Attributes:
        service: its name.
        doc: its class's docstring, or an empty string.
        constructor: the signature of its class.
        endpoints: its endpoints by name.
        schema: the whole document that it was read from.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self.schema = schema
        self.service: str = schema["service"]
        self.doc: str = schema.get("doc") or ""
        self.constructor = _signature(schema.get("constructor", {}).get("parameters") or [], None)
        aliases: dict[str, list[str]] = {}
        for entry in schema["endpoints"]:
            if "alias_of" in entry:
                aliases.setdefault(entry["alias_of"], []).append(entry["name"])
        self.endpoints: dict[str, EndpointDescription] = {
            entry["name"]: EndpointDescription(
                entry["name"],
                _signature(entry.get("parameters"), entry.get("returns")),
                entry.get("doc") or "",
                tuple(aliases.get(entry["name"], ())),
                bool(entry.get("coroutine")),
                entry["kind"],
            )
            for entry in schema["endpoints"]
            if "alias_of" not in entry
        }

    def names(self) -> list[str]:
        """The endpoints' first names, in the order of their definition."""
        return list(self.endpoints)

    def all_names(self) -> set[str]:
        """Every name that is answered to, aliases too."""
        return {str(entry["name"]) for entry in self.schema["endpoints"]}

    def __repr__(self) -> str:
        return f"<Description of {self.service!r}: {', '.join(self.endpoints)}>"

    def __str__(self) -> str:
        lines = [f"{self.service}{self.constructor}"]
        lines += [f"    {line}".rstrip() for line in self.doc.splitlines()]
        for endpoint in self.endpoints.values():
            lines += ["", f"  {'async ' if endpoint.coroutine else ''}{endpoint.name}{endpoint.signature}"]
            lines += [f"      {line}".rstrip() for line in endpoint.doc.splitlines()]
            if endpoint.aliases:
                lines.append(f"      also: {', '.join(endpoint.aliases)}")
        return "\n".join(lines)


def _signature(parameters: list[dict[str, Any]] | None, returns: str | None) -> str:
    if parameters is None:
        return "(...)"
    parts: list[str] = []
    kinds = [parameter["kind"] for parameter in parameters]
    for index, parameter in enumerate(parameters):
        kind = parameter["kind"]
        if kind == "keyword_only" and not {"var_positional", "keyword_only"} & set(kinds[:index]):
            parts.append("*")
        annotation = f": {parameter['annotation']}" if "annotation" in parameter else ""
        equals = " = " if annotation else "="
        default = f"{equals}{parameter['default']}" if "default" in parameter else ""
        parts.append(f"{_PREFIX.get(kind, '')}{parameter['name']}{annotation}{default}")
        if kind == "positional_only" and kinds[index + 1 : index + 2] != ["positional_only"]:
            parts.append("/")
    return f"({', '.join(parts)})" + (f" -> {returns}" if returns else "")
