"""Secrets at rest: encryption that can rotate its keys, and the installation's keyed hash."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class SecretKeyError(Exception):
    """A secret key is malformed, or not the one the data was encrypted with."""


def _fernet(key: str) -> Fernet:
    text = key.strip()
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise SecretKeyError("a secret key must be 32 random bytes in URL-safe base64") from error
    if len(raw) != 32:
        raise SecretKeyError(f"a secret key must be 32 random bytes in URL-safe base64; this one has {len(raw)}")
    return Fernet(base64.urlsafe_b64encode(raw))


class Vault:
    """Encrypts with the first of the keys and decrypts with any of them.

    `hash_key` is asked once for the installation's hash key, encrypted as it is stored.
    """

    def __init__(self, keys: Sequence[str], hash_key: Callable[[], str]) -> None:
        if not keys:
            raise SecretKeyError("no secret key is set")
        self._fernet = MultiFernet([_fernet(key) for key in keys])
        self._ask = hash_key
        self._hash_key: bytes | None = None

    def encrypt(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, token: str) -> str:
        """Raises `SecretKeyError` when none of the keys fits."""
        return self._readable(self._fernet.decrypt, token)

    def rotated(self, token: str) -> str:
        """The same secret under the first key."""
        return self._readable(self._fernet.rotate, token)

    def new_hash_key(self) -> str:
        return self.encrypt(secrets.token_hex(32))

    def hash(self, text: str) -> str:
        """A keyed hash of 128 bits in hexadecimal: equal texts give equal hashes in one installation only."""
        if self._hash_key is None:
            self._hash_key = bytes.fromhex(self.decrypt(self._ask()))
        return hmac.new(self._hash_key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]

    @staticmethod
    def _readable(operation: Callable[[bytes], bytes], token: str) -> str:
        try:
            return operation(token.encode()).decode()
        except InvalidToken as error:
            raise SecretKeyError(
                "the stored secrets were encrypted with another secret key; "
                "give the old key after the new one, then rotate"
            ) from error
