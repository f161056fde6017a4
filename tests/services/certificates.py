"""A throw-away certificate authority, and certificates of it for a server and a client."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

CLIENT = "stream-app-worker"
"""The common name in the client's certificate, and so its user in Kafka."""
KEY_PASSWORD = "password-of-the-client-key"


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path
    both: Path
    """Key and certificate in one file, as Kafka wants them."""


@dataclass(frozen=True)
class Certificates:
    """What a server and its clients need for TLS."""

    ca: Path
    other_ca: Path
    """An authority that signed nothing of this."""
    server: Identity
    """For localhost and 127.0.0.1."""
    elsewhere: Identity
    """For another host's name."""
    expired: Identity
    client: Identity
    """Its key is encrypted with KEY_PASSWORD."""


def make_certificates(folder: Path) -> Certificates:
    """Writes everything into `folder`."""
    authority, other = trustme.CA(), trustme.CA()
    ca, other_ca = folder / "ca.pem", folder / "other-ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    other.cert_pem.write_to_path(str(other_ca))
    yesterday = datetime.now(UTC) - timedelta(days=1)
    local = ("localhost", "127.0.0.1")
    return Certificates(
        ca,
        other_ca,
        _identity(folder / "server", authority.issue_cert(*local)),
        _identity(folder / "elsewhere", authority.issue_cert("elsewhere.invalid")),
        _identity(folder / "expired", authority.issue_cert(*local, not_after=yesterday)),
        _identity(
            folder / "client",
            authority.issue_cert("client.invalid", common_name=CLIENT),
            password=KEY_PASSWORD,
        ),
    )


def _identity(at: Path, issued: trustme.LeafCert, password: str = "") -> Identity:
    key = load_pem_private_key(issued.private_key_pem.bytes(), password=None)
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)  # Kafka reads no other
    chain = b"".join(part.bytes() for part in issued.cert_chain_pems)
    identity = Identity(at.with_suffix(".crt"), at.with_suffix(".key"), at.with_suffix(".pem"))
    identity.certificate.write_bytes(chain)
    identity.key.write_bytes(pem)
    identity.both.write_bytes(pem + chain)
    return identity
