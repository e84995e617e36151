"""What stands behind a backslash in JavaScript's patterns and texts, and how its patterns are shown in messages."""

from __future__ import annotations

import re

_NAMED = {"n": "\n", "r": "\r", "t": "\t", "v": "\v", "f": "\f"}
_HEX = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})")
_POINT = re.compile(r"u\{([0-9a-fA-F]+)\}")
_OCTAL = re.compile(r"[0-3][0-7]{0,2}|[4-7][0-7]?")
_TEXT = re.compile(
    r"\\(?:u\{[0-9a-fA-F]+\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[0-3][0-7]{0,2}|[4-7][0-7]?|.|\n)", re.DOTALL
)


def escape_of(source: str, at: int, is_unicode: bool) -> tuple[str | None, int]:
    """The one sign that is meant at `at`, behind a backslash, and where it ends; `None` for what is no sign."""
    sign = source[at : at + 1]
    if (found := _HEX.match(source, at)) is not None:
        return chr(int(found[1] or found[2], 16)), found.end()
    if is_unicode and (found := _POINT.match(source, at)) is not None and int(found[1], 16) < 0x110000:
        return chr(int(found[1], 16)), found.end()
    if sign in _NAMED and sign:
        return _NAMED[sign], at + 1
    if sign == "c" and (letter := source[at + 1 : at + 2]).isascii() and letter.isalpha():
        return chr(ord(letter) % 32), at + 2
    if sign == "c":
        return "\\", at
    if (found := _OCTAL.match(source, at)) is not None and (not is_unicode or found[0] == "0"):
        return chr(int(found[0], 8)), found.end()
    if not sign or (is_unicode and sign.isalnum()):
        return None, at
    return sign, at + 1


def shown(source: str, flags: str) -> str:
    """A pattern as fastest-validator's messages have it: as JavaScript writes it, read once more as a text, so that
    `\\d` has become `d`."""
    written, within, at = "", False, 0
    while at < len(source):
        sign = source[at]
        if sign == "\\":
            written += source[at : at + 2]
            at += 2
            continue
        within = sign == "[" or (within and sign != "]")
        written += "\\/" if sign == "/" and not within else {"\n": "\\n", "\r": "\\r"}.get(sign, sign)
        at += 1
    return _TEXT.sub(_read, f"/{written or '(?:)'}/{''.join(sorted(flags))}")


def _read(escape: re.Match[str]) -> str:
    inner = escape[0][1:]
    if inner == "\n":
        return ""
    if inner == "b":
        return "\b"
    found = None if inner[0] == "c" else escape_of(inner, 0, is_unicode=inner.startswith("u{"))[0]
    return inner if found is None else found
