"""A declaration that is right, and the secrets it refers to, for the tests of this folder."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_KEY = rsa.generate_private_key(65537, 2048)
_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mailspan")])
_BEGINS = datetime(2026, 1, 1, tzinfo=UTC)
PRIVATE_KEY = _KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
CERTIFICATE = (
    PRIVATE_KEY
    + x509.CertificateBuilder(_NAME, _NAME, _KEY.public_key(), 1, _BEGINS, _BEGINS + timedelta(days=730))
    .sign(_KEY, hashes.SHA256())
    .public_bytes(Encoding.PEM)
    .decode()
)
SERVICE_ACCOUNT = json.dumps(
    {"type": "service_account", "client_email": "mailspan@project.example", "private_key": PRIVATE_KEY}
)
ENVIRONMENT = {"GOOGLE_KEY": SERVICE_ACCOUNT, "CLIENT_SECRET": "cs-1", "ANN_TOKEN": "rt-ann"}

GOOD = """\
connections:
  - name: acme mail
    vendor: google
    service_account: {env: GOOGLE_KEY}
  - name: acme crm
    vendor: salesforce
    consumer_key: 3MVG9
    username: mailspan@acme.example
    private_key: {file: keys/salesforce.pem}
policies:
  - name: sales
    crm_connection: acme crm
    mail_connection: acme mail
    options:
      must_match: false
      internal_domains: [acme.example]
mailboxes:
  - address: Ann@acme.example
    policy: sales
  - address: bob@acme.example
    policy: sales
    crm_user: robert@acme.example
"""


def write(folder: Path, content: str = GOOD) -> Path:
    """The file, with the key beside it."""
    (folder / "keys").mkdir(exist_ok=True)
    (folder / "keys" / "salesforce.pem").write_text(PRIVATE_KEY)
    path = folder / "mailspan.yaml"
    path.write_text(content)
    return path
