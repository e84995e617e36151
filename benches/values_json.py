"""JSON by itself: nanoseconds to write and to read one value, beside the standard library's and, where it is installed,
orjson's, in the same run.

All are called from Python in the same way; the last two columns are the engine's own share, without that call.
`taskset -c 0 python benches/values_json.py`
"""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from ironbridge import _engine
from values import best

try:
    import orjson
except ImportError:
    HAS_ORJSON = False
else:
    HAS_ORJSON = True

ROWS: dict[str, Any] = {
    "message of 100 B": {
        "s": "orders",
        "d": {"id": 17, "item": "pen", "price": 1.5, "paid": True},
        "i": "0123456789abcdef",
        "c": "a1b2c3d4",
    },
    "dict of 10 KB": {
        f"row {number}": {"id": number, "name": "bob", "mail": f"bob{number}@example.org", "tags": ["a", "b"], "v": 1.5}
        for number in range(100)
    },
    "list of 1,000 ints": list(range(1_000)),
    "list of 1,000 floats": [number * 1.1 for number in range(1_000)],
    "list of 1,000 strs": ["abcdefgh"] * 1_000,
    "10 KB of Cyrillic": "привет мир " * 500,
    "8 KB with escapes": 'a "line"\n' * 666,
}


def measure(value: Any) -> list[float]:
    text = _engine.json_encode(value)
    writers: list[Callable[[Any], object]] = [_engine.json_encode, json.dumps]
    readers: list[Callable[[bytes], object]] = [_engine.json_decode, json.loads]
    if HAS_ORJSON:
        writers.append(orjson.dumps)
        readers.append(orjson.loads)
    called = [best(partial(write, value)) for write in writers] + [best(partial(read, text)) for read in readers]
    return called + list(_engine._time_json(value, max(500_000 // len(text), 10)))


def main() -> None:
    peers = ["json", "orjson"] if HAS_ORJSON else ["json"]
    columns = ["write", *peers, "read", *peers, "write alone", "read alone"]
    print(f"{'ns':22}" + "".join(f"{column:>12}" for column in columns))
    for name, value in ROWS.items():
        print(f"{name:22}" + "".join(f"{figure:12,.0f}" for figure in measure(value)))


if __name__ == "__main__":
    main()
