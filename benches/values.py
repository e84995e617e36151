"""Values by themselves: nanoseconds to write and to read one, beside msgpack's C extension in the same run.

Both are called from Python in the same way; the last two columns are the engine's own share, without that call.
`taskset -c 0 python benches/values.py`
"""

import timeit
from collections.abc import Callable
from typing import Any

import msgpack
from ironbridge import _engine

ROWS: dict[str, Any] = {
    "str of 5": "hello",
    "int": 7,
    "dict of 4": {"id": 1, "name": "bob", "tags": ["a", "b"], "x": 1.5},
    "list of 100 ints": list(range(100)),
    "list of 100 strs": ["abcdefgh"] * 100,
    "list of 100 dicts": [{"id": number, "name": "bob", "v": 1.5} for number in range(100)],
    "bytes of 1,000": bytes(1_000),
}


def best(call: Callable[[], object]) -> float:
    """Nanoseconds of one call: the least of nine runs of about 5 ms."""
    timer = timeit.Timer(call)
    once = max(timer.timeit(100) / 100, 1e-8)
    rounds = max(int(0.005 / once), 1)
    return min(timer.repeat(9, rounds)) / rounds * 1e9


def measure(value: Any) -> list[float]:
    payload, _ = _engine._encode_value(value)
    packer, packed = msgpack.Packer(), msgpack.packb(value)
    called = [
        best(lambda: _engine._encode_value(value)),
        best(lambda: packer.pack(value)),
        best(lambda: _engine._decode_value(payload)),
        best(lambda: msgpack.unpackb(packed)),
    ]
    return called + list(_engine._time_arguments((value,), 20_000))


def main() -> None:
    columns = ("write", "msgpack", "read", "msgpack", "write alone", "read alone")
    print(f"{'ns':18}" + "".join(f"{column:>13}" for column in columns))
    for name, value in ROWS.items():
        print(f"{name:18}" + "".join(f"{figure:13,.0f}" for figure in measure(value)))


if __name__ == "__main__":
    main()
