"""Compressed packets, as Moleculer's middleware `Transmit.Compression` has them: all nodes must use it alike."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Any

from ..errors import BrokerOptionsError, InvalidPacketDataError

Change = Callable[[str, bytes], bytes]

# How zlib is told of each format: what it calls the size of the window, with a sign or a number added.
_FORMATS = {"deflate": zlib.MAX_WBITS, "deflateRaw": -zlib.MAX_WBITS, "gzip": zlib.MAX_WBITS + 16}
_UNITS = {"": 1, "b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) *([a-z]*)", re.IGNORECASE)


class Compression:
    """Compresses packets that go out, and reads those that come in.

    On the wire a packet has one byte in front: 0 before what is not compressed, 1 before what is.

    Args:
        method: `deflate` (zlib's format), `deflateRaw` or `gzip`.
        threshold: packets smaller than this are not compressed: bytes, or a text such as `"1kb"`; `None` compresses
            all.

    Raises:
        BrokerOptionsError: there is no such method, or the threshold is no size.
    """

    def __init__(self, method: str = "deflate", threshold: float | str | None = "1kb") -> None:
        if method not in _FORMATS:
            raise BrokerOptionsError(f"Compression: method={method!r} is not one of {', '.join(_FORMATS)}")
        self._format = _FORMATS[method]
        self._threshold = 0 if threshold is None else size_of(threshold)
        self._most = 64 << 20

    def created(self, broker: Any) -> None:
        """Takes the broker's bound on packets: none may grow beyond it here."""
        self._most = broker.options.max_packet

    def transporter_send(self, next: Change) -> Change:
        """Compresses."""

        def send(topic: str, data: bytes) -> bytes:
            if len(data) < self._threshold:
                return next(topic, b"\0" + data)
            packer = zlib.compressobj(wbits=self._format)
            return next(topic, b"\1" + packer.compress(data) + packer.flush())

        return send

    def transporter_receive(self, next: Change) -> Change:
        """Reads what was compressed.

        Raises:
            InvalidPacketDataError: it was not, or not in this format, or grows beyond the broker's `max_packet`.
        """

        def receive(topic: str, data: bytes) -> bytes:
            if not data:
                raise InvalidPacketDataError("it is empty: a compressed packet has a byte in front")
            return next(topic, data[1:] if data[0] == 0 else self._unpacked(data[1:]))

        return receive

    def _unpacked(self, data: bytes) -> bytes:
        unpacker = zlib.decompressobj(wbits=self._format)
        try:
            plain = unpacker.decompress(data, self._most)
        except zlib.error as error:
            raise InvalidPacketDataError(
                f"it cannot be decompressed ({error}): do all nodes use the same compression?"
            ) from error
        if not unpacker.eof:
            raise InvalidPacketDataError(
                f"it is cut off, or grows to more than {self._most} bytes when decompressed (max_packet)"
            )
        return plain


def size_of(size: float | str) -> int:
    """Bytes of a number, or of a text such as `"1.5 kb"`; a kilobyte is 1024.

    Raises:
        BrokerOptionsError: it is neither.
    """
    found = _SIZE.fullmatch(str(size).strip())
    if found is None or found[2].lower() not in _UNITS:
        raise BrokerOptionsError(f"threshold={size!r} is no size: give bytes, or a text such as '1kb'")
    return int(float(found[1]) * _UNITS[found[2].lower()])
