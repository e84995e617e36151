"""Characters by their Unicode categories: `\\p{Lu}`, `\\p{Letter}`, for patterns with the flag `u`."""

from __future__ import annotations

import functools
import itertools
import re
import sys
import unicodedata
from collections.abc import Iterator

_LONG = {
    "Letter": "L",
    "Uppercase_Letter": "Lu",
    "Lowercase_Letter": "Ll",
    "Titlecase_Letter": "Lt",
    "Cased_Letter": "LC",
    "Modifier_Letter": "Lm",
    "Other_Letter": "Lo",
    "Mark": "M",
    "Number": "N",
    "Decimal_Number": "Nd",
    "Letter_Number": "Nl",
    "Other_Number": "No",
    "Punctuation": "P",
    "Symbol": "S",
    "Currency_Symbol": "Sc",
    "Separator": "Z",
    "Space_Separator": "Zs",
    "Control": "Cc",
}
_SHORT = re.compile("L[ulmotC]?|M[nce]?|N[dlo]?|P[cdseifo]?|S[mcko]?|Z[slp]?|C[cfson]?")


@functools.lru_cache(maxsize=64)
def members(name: str, inverted: bool = False) -> str | None:
    """The ranges of a category, as a class has them; `None` when it is none of those that are known here.

    Args:
        name: a general category's short or long name, with or without `General_Category=`.
        inverted: all others.
    """
    plain = name.removeprefix("General_Category=").removeprefix("gc=")
    kind = _LONG.get(plain, plain)
    if not _SHORT.fullmatch(kind):
        return None
    wanted = ("Lu", "Ll", "Lt") if kind == "LC" else (kind,)
    found, point = "", 0
    for inside, run in itertools.groupby(_categories(), lambda one: one.startswith(wanted) is not inverted):
        last = point + sum(1 for _ in run)
        if inside:
            found += f"\\U{point:08x}-\\U{last - 1:08x}"
        point = last
    return found


def _categories() -> Iterator[str]:
    return map(unicodedata.category, map(chr, range(sys.maxunicode + 1)))
