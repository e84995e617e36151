"""Patterns of JavaScript: what fastest-validator 1.19.1 says of the same texts, recorded."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ironbridge._mesh.validation.patterns import compiled
from ironbridge._mesh.validation.validator import Validator
from ironbridge.mesh import ServiceSchemaError


@pytest.mark.parametrize(
    ("pattern", "flags", "matched", "others", "shown"),
    [
        # Digits and words are of ASCII.
        (r"^\d+$", None, ["12"], ["٣", "12\n", ""], "/^d+$/"),
        (r"^\w+$", None, ["aZ_9"], ["é", "aé"], "/^w+$/"),
        (r"[\d\W]", None, ["1", "é", "-"], ["a", "_"], "/[dW]/"),
        (r"^[^\w]+$", None, ["é-"], ["a"], "/^[^w]+$/"),
        (r"^[\D]$", None, ["٣", "x"], ["3"], "/^[D]$/"),
        (r"^\W$", None, ["é", "ſ", "-"], ["s", ""], "/^W$/"),
        (r"\W", None, ["é"], ["a"], "/W/"),
        (r"\W", "i", ["é"], ["k", "S", "i"], "/W/i"),
        (r"\B", None, ["", "ab"], ["a"], "/B/"),
        (r"\bü", None, ["xü"], ["ü", " ü"], "/\bü/"),
        (r"\Bü", None, [" ü"], ["xü"], "/Bü/"),
        # Spaces are Unicode's, with the byte order mark, and without the separators of ASCII.
        (r"^\s$", None, [" ", "\u00a0", "\ufeff", "\u2028"], ["\x1c", "\x85", "\u200b"], "/^s$/"),
        (r"^\S$", None, ["\x1c", "\x85", "x"], [" ", "\ufeff"], "/^S$/"),
        (r"^[\s\S]$", None, ["\n", "x"], ["", "xx"], "/^[sS]$/"),
        # The end is the end, and lines end in four ways.
        ("^[a-c]+$", None, ["abc"], ["abc\n", "ABC"], "/^[a-c]+$/"),
        ("^b$", "m", ["a\nb", "a\rb", "b\u2028c"], ["ab"], "/^b$/m"),
        ("^.$", None, ["x"], ["\n", "\r", "\u2028"], "/^.$/"),
        ("^.$", "s", ["x", "\n", "\u2029"], ["xx"], "/^.$/s"),
        # Flags.
        ("^é$", "i", ["é", "É"], ["e"], "/^é$/i"),
        ("b", "y", ["b", "ba"], ["ab"], "/b/y"),
        ("b", "ig", ["B", "ab"], ["a"], "/b/gi"),
        # Groups.
        (r"^(?<x>a|b)\k<x>$", None, ["aa", "bb"], ["ab"], "/^(?<x>a|b)k<x>$/"),
        (r"^(?<first-x>a)$".replace("-", "$"), None, ["a"], ["b"], "/^(?<first$x>a)$/"),
        (r"^(a)?\1b$", None, ["aab", "b"], ["ab"], "/^(a)?\x01b$/"),
        (r"^(?:\1(a))$", None, ["a"], ["aa"], "/^(?:\x01(a))$/"),
        (r"(?<=a)b(?!c)", None, ["ab", "abd"], ["b", "abc"], "/(?<=a)b(?!c)/"),
        # What is no escape is the letter itself.
        (r"^\A\Z\z$", None, ["AZz"], [""], "/^AZz$/"),
        (r"\k", None, ["k"], ["x"], "/k/"),
        (r"^\u0061\x62\cJ\0$", None, ["ab\n\0"], ["ab"], "/^abcJ\0$/"),
        (r"^\p{Lu}[\p{Letter}\d]+\P{L}$", "u", ["Éa1-"], ["éa1-", "Éa1b"], "/^p{Lu}[p{Letter}d]+P{L}$/u"),
        (r"^\p{L}$", None, ["p{L}"], ["L"], "/^p{L}$/"),
        (r"^\u{61}$", "u", ["a"], ["u{61}"], "/^a$/u"),
        (r"a\/b", None, ["a/b"], ["ab"], "/a/b/"),
        ("a/b", None, ["a/b"], ["ab"], "/a/b/"),
        # Classes.
        ("^[^]$", None, ["\n", "x"], [""], "/^[^]$/"),
        ("[]", None, [], ["", "x", "]"], "/[]/"),
        (r"^[[\]\\-]+$", None, ["[]\\-"], ["x"], "/^[[]\\-]+$/"),
        (r"^[a-c&&b]+$", None, ["a&b"], ["d"], "/^[a-c&&b]+$/"),
        (r"^[\w-x]+$", None, ["a-x"], ["."], "/^[w-x]+$/"),
        (r"^[\b]$", None, ["\b"], ["b"], "/^[\b]$/"),
        # Braces that repeat nothing.
        ("^x{,2}$", None, ["x{,2}"], ["xx", ""], "/^x{,2}$/"),
        ("^a{$", None, ["a{"], ["a"], "/^a{$/"),
        ("^a{2,}?$", None, ["aa"], ["a"], "/^a{2,}?$/"),
        ("", None, ["", "x"], [], "/(?:)/"),
    ],
)
def test_patterns_mean_what_they_mean_in_javascript(
    pattern: str, flags: str | None, matched: list[str], others: list[str], shown: str
) -> None:
    rule = {"type": "string", "pattern": pattern, **({"patternFlags": flags} if flags is not None else {})}
    check = Validator().compile({"v": rule})
    assert [one for one in matched if check({"v": one})] == []
    for one in others:
        [error] = check({"v": one}) or [None]
        assert error == {
            "type": "stringPattern",
            "message": "The 'v' field fails to match the required pattern.",
            "field": "v",
            "expected": shown,
            "actual": one,
        }, one
    assert compiled(pattern, flags)[1] == shown


@pytest.mark.parametrize(
    ("pattern", "flags"),
    [
        ("a", "x"),
        ("a", "ii"),
        ("a", "uv"),
        ("(", None),
        ("a)", None),
        ("[a", None),
        ("a\\", None),
        ("a**", None),
        ("a++", None),
        ("(?P<x>a)", None),
        ("(?i)a", None),
        (r"(?<x>a)\k<y>", None),
        (r"^\p{Script=Greek}$", "u"),
        ("(?<=a+)b", None),
    ],
)
def test_what_is_no_pattern_or_has_nothing_like_it_is_refused_when_the_service_is_made(
    pattern: str, flags: str | None
) -> None:
    with pytest.raises(ServiceSchemaError, match=re.escape(f"/{pattern}/")):
        Validator().compile({"v": {"type": "string", "pattern": pattern, "patternFlags": flags}})


SIGNS = [
    *(
        "a",
        "1",
        "^",
        "$",
        ".",
        "*",
        "+",
        "?",
        "{",
        "}",
        "{2}",
        "{0,2}",
        "(",
        ")",
        "(?:",
        "(?<x>",
        "\\k<x>",
        "[",
        "]",
        "[^",
    ),
    *("|", "\\", "\\d", "\\W", "\\s", "\\S", "\\b", "\\B", "\\1", "\\0", "\\-", "\\cA", "\\p{L}", "-", "&&", "/", "é"),
]


# Letters are looked for once, which takes longer than a single example may.
compiled(r"\p{L}", "u")


@given(st.lists(st.sampled_from(SIGNS), max_size=8).map("".join), st.sampled_from(["", "i", "ms", "u", "y"]))
def test_a_pattern_is_read_or_refused(pattern: str, flags: str) -> None:
    try:
        read, shown = compiled(pattern, flags)
    except ServiceSchemaError:
        return
    assert shown.startswith("/") and shown.endswith(f"/{''.join(sorted(flags))}")
    read.search("a b")


def test_a_pattern_of_python_means_what_python_says() -> None:
    check = Validator().compile({"v": {"type": "string", "pattern": re.compile(r"^\d+$")}})
    assert check({"v": "٣"}) is None and check({"v": "x"})
