"""Encrypted packets, as Moleculer's middleware `Transmit.Encryption` has them: all nodes must use it alike."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

from ...errors import ConfigurationError
from ..errors import BrokerOptionsError, InvalidPacketDataError

Change = Callable[[str, bytes], bytes]

_NAME = re.compile(r"aes-?(128|192|256)(?:-(cbc|ctr|ecb))?", re.IGNORECASE)
_BLOCK = 16


class Encryption:
    """Encrypts whole packets with AES, for meshes whose other nodes do so. It hides what packets say; it does not
    show whether somebody has changed them, as TLS does (`rediss://`, `tls://`), which is better where all nodes have
    it.

    With `iv`, the password is the key itself, of 16, 24 or 32 bytes. Without, key and vector are made of the password
    in OpenSSL's old way (`EVP_BytesToKey`: MD5, once, no salt), as Node.js's `createCipher` makes them; nodes of
    protocol 5 cannot do that, and need a vector, or a mode that has none.

    Args:
        password: the secret, as bytes or text.
        algorithm: OpenSSL's name: `aes-256-cbc`; of 128, 192 or 256 bits, and `cbc`, `ctr` or `ecb`.
        iv: the vector, 16 bytes as bytes or text.

    Raises:
        BrokerOptionsError: the password, algorithm or vector cannot be used.
        ConfigurationError: the package `cryptography` is missing.
    """

    def __init__(self, password: str | bytes, algorithm: str = "aes-256-cbc", iv: str | bytes | None = None) -> None:
        named = _NAME.fullmatch(algorithm)
        if not password:
            raise BrokerOptionsError("Encryption: the password is empty")
        if named is None:
            raise BrokerOptionsError(f"Encryption: algorithm={algorithm!r} is not known: give aes-256-cbc, or its like")
        self._bits, self._mode = int(named[1]), (named[2] or "cbc").lower()
        self._password, self._iv = _bytes(password), _bytes(iv) if iv else b""
        self._made_of_password = not iv
        if self._iv and self._mode != "ecb" and len(self._iv) != _BLOCK:
            raise BrokerOptionsError(f"Encryption: the iv has {len(self._iv)} bytes: {algorithm} needs {_BLOCK}")
        self._cipher = self._made()

    def created(self, broker: Any) -> None:
        """Takes key and vector as nodes of the broker's protocol do.

        Raises:
            BrokerOptionsError: they need a vector.
        """
        if str(broker.options.protocol) == "5" and self._made_of_password:
            if self._mode != "ecb":
                raise BrokerOptionsError("Encryption: in protocol 5, give iv=…, 16 bytes, the same at all nodes")
            self._made_of_password = False
            self._cipher = self._made()

    def transporter_send(self, next: Change) -> Change:
        """Encrypts."""

        def send(topic: str, data: bytes) -> bytes:
            return next(topic, self._encrypted(data))

        return send

    def transporter_receive(self, next: Change) -> Change:
        """Decrypts.

        Raises:
            InvalidPacketDataError: it was not encrypted, or with another password, algorithm or vector.
        """

        def receive(topic: str, data: bytes) -> bytes:
            return next(topic, self._decrypted(data))

        return receive

    def _made(self) -> Any:
        try:
            from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        except ImportError as error:
            raise ConfigurationError("Encryption needs a package: pip install cryptography") from error
        key, vector = self._password, self._iv
        if self._made_of_password:
            key, vector = _derived(self._password, self._bits // 8)
        if len(key) != self._bits // 8:
            raise BrokerOptionsError(
                f"Encryption: the password has {len(key)} bytes: with an iv, or without need of one, it is the key of "
                f"aes-{self._bits}, and has {self._bits // 8}"
            )
        mode = {"cbc": lambda: modes.CBC(vector), "ctr": lambda: modes.CTR(vector), "ecb": modes.ECB}[self._mode]()
        return Cipher(algorithms.AES(key), mode)

    def _encrypted(self, data: bytes) -> bytes:
        cipher = self._cipher.encryptor()
        if self._mode == "ctr":
            return bytes(cipher.update(data) + cipher.finalize())
        padder = _padding().padder()
        return bytes(cipher.update(padder.update(data) + padder.finalize()) + cipher.finalize())

    def _decrypted(self, data: bytes) -> bytes:
        cipher = self._cipher.decryptor()
        try:
            plain = cipher.update(data) + cipher.finalize()
            if self._mode == "ctr":
                return bytes(plain)
            unpadder = _padding().unpadder()
            return bytes(unpadder.update(plain) + unpadder.finalize())
        except ValueError as error:
            raise InvalidPacketDataError(
                f"it cannot be decrypted ({error}): do all nodes have the same password, algorithm and iv?"
            ) from error


def _padding() -> Any:
    from cryptography.hazmat.primitives.padding import PKCS7

    return PKCS7(8 * _BLOCK)


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else bytes(text)


def _derived(password: bytes, key_size: int) -> tuple[bytes, bytes]:
    """Key and vector by `EVP_BytesToKey` with MD5, one round and no salt: each digest is of the last and the
    password."""
    made = digest = b""
    while len(made) < key_size + _BLOCK:
        digest = hashlib.md5(digest + password, usedforsecurity=False).digest()
        made += digest
    return made[:key_size], made[key_size : key_size + _BLOCK]
