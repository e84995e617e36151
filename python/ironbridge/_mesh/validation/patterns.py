"""JavaScript's regular expressions as Python's: a pattern means the same at nodes of either language."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..errors import ServiceSchemaError
from .properties import members
from .unescaping import escape_of, shown

_END = "\n\r\u2028\u2029"
_SPACE = "\\t-\\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_NO_SPACE = (
    "\\x00-\\x08\\x0e-\\x1f!-\u009f\u00a1-\u167f\u1681-\u1fff\u200b-\u2027\u202a-\u202e\u2030-\u205e"
    "\u2060-\u2fff\u3001-\ufefe\uff00-\U0010ffff"
)
# Within a class. In JavaScript digits and words are of ASCII alone, and spaces are not Python's.
_SETS = {
    "d": "0-9",
    "D": "\\x00-/:-\U0010ffff",
    "w": "0-9A-Z_a-z",
    "W": "\\x00-/:-@\\[-\\^`{-\U0010ffff",
    "s": _SPACE,
    "S": _NO_SPACE,
}
# Where case is ignored, without those that Python takes for i, s and k.
_NO_WORD_OF_ANY_CASE = "\\x00-/:-@\\[-\\^`{-\u012f\u0132-\u017e\u0180-\u2129\u212b-\U0010ffff"
# Python's own finds none in an empty text.
_NO_EDGE = f"(?:(?<![{_SETS['w']}])(?![{_SETS['w']}])|(?<=[{_SETS['w']}])(?=[{_SETS['w']}]))"
_GROUP = re.compile(r"\((?:\?(?::|=|!|<=|<!|<([^>=!][^>]*)>))?")
_CATEGORY = re.compile(r"([pP])\{([\w=]+)\}", re.ASCII)
_REPEAT = re.compile(r"[*+?]|\{\d+(?:,\d*)?\}")


def compiled(pattern: str, flags: str | None = None) -> tuple[re.Pattern[str], str]:
    """A pattern of JavaScript, to be searched for, and how it is shown in messages.

    Raises:
        ServiceSchemaError: JavaScript does not know it, or Python has nothing like it.
    """
    given = flags or ""
    if set(given) - set("dgimsuvy") or len(set(given)) < len(given) or {"u", "v"} <= set(given):
        raise ServiceSchemaError(f"/{pattern}/: the flags {given!r} are not JavaScript's")
    try:
        read = re.compile(_Reading(pattern, given).python(), re.IGNORECASE if "i" in given else 0)
    except (re.error, OverflowError, RecursionError) as error:
        raise ServiceSchemaError(f"/{pattern}/ cannot be used: {error}") from None
    return read, shown(pattern, given)


class _Reading:
    """Reads a pattern from its beginning to its end."""

    def __init__(self, source: str, flags: str) -> None:
        self._source, self._flags, self._at = source, flags, 0
        self._names = dict[str, int]()
        self._count = self._groups()
        self._open: list[int] = []
        self._closed: set[int] = set()

    def python(self) -> str:
        whole = "".join(self._parts())
        return f"\\A(?:{whole})" if "y" in self._flags else whole

    def _wrong(self, why: str) -> ServiceSchemaError:
        return ServiceSchemaError(f"/{self._source}/ cannot be used: {why}")

    def _groups(self) -> int:
        """How many groups there are; their names are noted."""
        count, within = 0, False
        for at, sign in _plain(self._source):
            within = sign == "[" or (within and sign != "]")
            found = _GROUP.match(self._source, at) if sign == "(" and not within else None
            if found is not None and (found[0] == "(" or found[1]):
                count += 1
                if found[1]:
                    self._names[found[1]] = count
        return count

    def _parts(self) -> Iterator[str]:
        begun, repeats = 0, False
        while self._at < len(self._source):
            sign = self._source[self._at]
            if (repeat := _REPEAT.match(self._source, self._at)) is not None:
                if repeats:
                    raise self._wrong("there is nothing to repeat")
                self._at = repeat.end()
                lazy = self._source.startswith("?", self._at)
                self._at += lazy
                yield repeat[0] + "?" * lazy
                repeats = True
                continue
            repeats = False
            if sign == "(":
                yield self._group(begun)
                begun += self._captures
                continue
            self._at += 1
            yield self._part(sign)

    def _group(self, begun: int) -> str:
        found = _GROUP.match(self._source, self._at)
        assert found is not None
        if found[0] == "(" and self._source.startswith("(?", self._at):
            raise self._wrong(f"JavaScript has no groups like {self._source[self._at : self._at + 4]!r}")
        self._at = found.end()
        self._captures = found[0] == "(" or bool(found[1])
        self._open.append(begun + 1 if self._captures else 0)
        return "(" if self._captures else found[0]

    def _part(self, sign: str) -> str:
        many = "m" in self._flags
        match sign:
            case "^":
                return f"(?:\\A|(?<=[{_END}]))" if many else "\\A"
            case "$":
                return f"(?=[{_END}]|\\Z)" if many else "\\Z"
            case ".":
                return "(?s:.)" if "s" in self._flags else f"[^{_END}]"
            case "[":
                return self._class()
            case ")":
                if self._open:
                    self._closed.add(self._open.pop())
                return ")"
            case "|":
                return "|"
            case "\\":
                return self._escaped()
        return re.escape(sign)

    def _escaped(self) -> str:
        sign = self._source[self._at : self._at + 1]
        if not sign:
            raise self._wrong("it ends with \\")
        if sign in "bB":
            self._at += 1
            return "(?a:\\b)" if sign == "b" else _NO_EDGE
        if sign in _SETS:
            self._at += 1
            return f"[{self._set(sign)}]"
        if (known := self._category()) is not None:
            return f"[{known}]"
        if sign == "k" and self._names:
            name, mark, _ = self._source[self._at + 2 :].partition(">")
            if not mark or name not in self._names:
                raise self._wrong(f"there is no group {name!r}")
            self._at += len(name) + 3
            return self._again(self._names[name])
        number = re.compile(r"[1-9]\d*").match(self._source, self._at)
        if number is not None and int(number[0]) <= self._count:
            self._at = number.end()
            return self._again(int(number[0]))
        return re.escape(self._single())

    def _set(self, kind: str) -> str:
        return _NO_WORD_OF_ANY_CASE if kind == "W" and "i" in self._flags else _SETS[kind]

    def _category(self) -> str | None:
        """The members of what `\\p{…}` or `\\P{…}` means here, if that is what stands here."""
        found = _CATEGORY.match(self._source, self._at) if {"u", "v"} & set(self._flags) else None
        if found is None:
            return None
        known = members(found[2], found[1] == "P")
        if known is None:
            raise self._wrong(f"\\{found[0]} is not known here")
        self._at = found.end()
        return known

    def _again(self, group: int) -> str:
        # One that has matched nothing, or is not over, is there as an empty text.
        return f"(?({group})\\{group})" if group in self._closed else "(?:)"

    def _single(self) -> str:
        found, self._at = escape_of(self._source, self._at, is_unicode=bool({"u", "v"} & set(self._flags)))
        if found is None:
            raise self._wrong(f"\\{self._source[self._at : self._at + 1]} is not known here")
        return found

    def _class(self) -> str:
        inverted = self._source.startswith("^", self._at)
        self._at += inverted
        found: list[tuple[str, bool]] = []
        while not self._source.startswith("]", self._at):
            if self._at >= len(self._source):
                raise self._wrong("a class is not ended")
            found.append(self._member())
        self._at += 1
        if not found:
            return "(?s:.)" if inverted else "(?!)"
        return f"[{'^' * inverted}{''.join(_ranges(found))}]"

    def _member(self) -> tuple[str, bool]:
        """One of a class, and whether it is a set of its own."""
        sign = self._source[self._at]
        self._at += 1
        if sign != "\\":
            return sign, False
        kind = self._source[self._at : self._at + 1]
        if kind in _SETS and kind:
            self._at += 1
            return self._set(kind), True
        if (known := self._category()) is not None:
            return known, True
        if kind == "b":
            self._at += 1
            return "\b", False
        if kind == "-":
            self._at += 1
            return "\\-", True
        return self._single(), False


def _ranges(members: list[tuple[str, bool]]) -> Iterator[str]:
    at = 0
    while at < len(members):
        sign, is_set = members[at]
        is_range = members[at + 1 : at + 2] == [("-", False)] and at + 2 < len(members)
        last = members[at + 2] if is_range else ("", True)
        if is_range and last == ("\\-", True):
            last = ("-", False)
        if is_range and not is_set and not last[1]:
            yield f"{_literal(sign)}-{_literal(last[0])}"
            at += 3
        else:
            yield sign if is_set else _literal(sign)
            at += 1


def _literal(sign: str) -> str:
    return f"\\{sign}" if sign in "\\]-^[&~|" else sign


def _plain(source: str) -> Iterator[tuple[int, str]]:
    """The signs that are not escaped, with their places."""
    at = 0
    while at < len(source):
        if source[at] == "\\":
            at += 2
            continue
        yield at, source[at]
        at += 1
