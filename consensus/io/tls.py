"""Identity of the two ends of a peer connection: TLS 1.3 with pinned Ed25519 keys.

Every node makes, at each start, a certificate of its peer key that is signed by one well-known
certificate authority. The private key of that authority follows from a constant in this file: it
is public on purpose. TLS libraries insist on a chain; this one proves nothing. What proves who
the other end is: TLS itself shows that it holds the private key of its certificate, and
``peer_key`` gives that key, to be compared with the one that the genesis file pins.

Certificates are valid from 1970 until 9999, so that no date and no broken clock ever cuts the
network (expired certificates have ended more consortia than attackers did).
"""

import datetime as dt
import os
import ssl
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from ledger.core.errors import Offence, PeerFault
from ledger.core.ids import PublicKey

__all__ = ["CERTIFICATE_EXPIRY_S", "PeerIdentity", "peer_key"]

_AUTHORITY_SEED: Final = b"concordat: this key is public !!"
_NOT_BEFORE: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NOT_AFTER: Final = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
CERTIFICATE_EXPIRY_S: Final = int(_NOT_AFTER.timestamp())
"""End of every peer certificate, in seconds since 1970."""
_AUTHORITY_NAME: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "concordat peers")])
_SERIAL_BYTES: Final = 16


class HasCertificate(Protocol):
    """The end of a TLS connection, after its handshake."""

    def getpeercert(self, *, binary_form: bool) -> bytes | None:
        """Give the other end's certificate in DER."""
        ...


class PeerIdentity:
    """What a node shows to its peers, and how it asks for theirs.

    Attributes:
        public_key: the key that the others pin.
        server, client: contexts for accepted and for dialled connections.
    """

    __slots__ = ("client", "public_key", "server")

    def __init__(self, seed: bytes) -> None:
        """Make the certificate of the Ed25519 key with this 32-byte ``seed``."""
        key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = PublicKey(key.public_key().public_bytes_raw())
        # The key stays in memory: load_cert_chain takes nothing but the name of a file.
        descriptor = os.memfd_create("peer-identity", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            file.write(_certificate(key.public_key()).public_bytes(Encoding.PEM))
            file.flush()
            name = f"/proc/self/fd/{descriptor}"
            self.server = _context(ssl.PROTOCOL_TLS_SERVER, name)
            self.client = _context(ssl.PROTOCOL_TLS_CLIENT, name)
        # A resumed session would skip the certificates; nothing here needs one.
        self.server.num_tickets = 0


def peer_key(connection: HasCertificate) -> PublicKey:
    """Give the Ed25519 key that the other end has proved to hold.

    Raises:
        PeerFault: WRONG_IDENTITY, its certificate is missing or of another kind.
    """
    encoded = connection.getpeercert(binary_form=True)
    if encoded is None:
        raise PeerFault(Offence.WRONG_IDENTITY, "no certificate")
    try:
        key = x509.load_der_x509_certificate(encoded).public_key()
    except Exception as error:  # noqa: BLE001 - any bytes in, PeerFault out
        raise PeerFault(Offence.WRONG_IDENTITY, f"unreadable certificate: {error}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise PeerFault(Offence.WRONG_IDENTITY, "the certificate's key is not Ed25519")
    return PublicKey(key.public_bytes_raw())


def _context(protocol: int, chain_file: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=_authority().public_bytes(Encoding.DER))
    context.load_cert_chain(chain_file)
    return context


def _authority() -> x509.Certificate:
    key = Ed25519PrivateKey.from_private_bytes(_AUTHORITY_SEED).public_key()
    return _sign(_AUTHORITY_NAME, key, is_authority=True)


def _certificate(key: Ed25519PublicKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "concordat peer")])
    return _sign(name, key, is_authority=False)


def _sign(subject: x509.Name, key: Ed25519PublicKey, *, is_authority: bool) -> x509.Certificate:
    authority = Ed25519PrivateKey.from_private_bytes(_AUTHORITY_SEED)
    usage = x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    # Positive and, per key, always the same.
    serial = int.from_bytes(b"\x01" + key.public_bytes_raw()[: _SERIAL_BYTES - 1])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_AUTHORITY_NAME)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),
            critical=False,
        )
        .sign(authority, None)
    )
