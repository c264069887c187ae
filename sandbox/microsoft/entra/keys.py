"""Keys: those that sign tokens, and the certificate of the app registration."""

from __future__ import annotations

import base64
import datetime as dt
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

Json = dict[str, Any]
DAYS = 730


def b64(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An RSA key with a self-signed certificate."""

    private: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, name: str) -> KeyPair:
        """A new one for a common name."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=DAYS))
            .sign(key, hashes.SHA256())
        )
        return cls(key, certificate)

    def thumbprint(self, algorithm: hashes.HashAlgorithm | None = None) -> bytes:
        """SHA-1 (as x5t has it) unless told otherwise."""
        return self.certificate.fingerprint(algorithm or hashes.SHA1())

    def write(self, path: Path) -> None:
        """Key and certificate in one PEM file that only the owner reads."""
        path.touch(mode=0o600)
        path.write_bytes(
            self.private.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + self.certificate.public_bytes(serialization.Encoding.PEM)
        )


class SigningKeys:
    """The tenant's keys, newest last. `rotate` begins with a new one; the old ones stay published until `retire`."""

    def __init__(self) -> None:
        self._pairs: list[KeyPair] = []
        self._lock = threading.Lock()

    def _kid(self, pair: KeyPair) -> str:
        return b64(pair.thumbprint())

    def current(self) -> KeyPair:
        """The one that signs now; made when first asked for."""
        with self._lock:
            if not self._pairs:
                self.rotate()
            return self._pairs[-1]

    def rotate(self) -> str:
        """Sign with a new key from now on; its kid."""
        self._pairs.append(KeyPair.make("accounts.accesscontrol.example"))
        return self._kid(self._pairs[-1])

    def retire(self) -> None:
        """Publish the newest key only."""
        del self._pairs[:-1]

    def sign(self, claims: Json) -> str:
        """A JWT."""
        pair = self.current()
        kid = self._kid(pair)
        return jwt.encode(claims, pair.private, "RS256", headers={"kid": kid, "x5t": kid})

    def published(self, issuer: str) -> Json:
        """The key set."""
        self.current()
        keys = []
        for pair in self._pairs:
            numbers = pair.private.public_key().public_numbers()
            der = pair.certificate.public_bytes(serialization.Encoding.DER)
            keys.append(
                {
                    "kty": "RSA",
                    "use": "sig",
                    "kid": self._kid(pair),
                    "x5t": self._kid(pair),
                    "n": _number(numbers.n),
                    "e": _number(numbers.e),
                    "x5c": [base64.b64encode(der).decode()],
                    "issuer": issuer,
                }
            )
        return {"keys": keys}
