"""Identities: both ends show the key that they hold, for ever, and nothing older than TLS 1.3."""

import datetime as dt
import ssl

import pytest
import trio
import trio.testing
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from consensus.io.tls import PeerIdentity, peer_key
from ledger.core.errors import Offence, PeerFault
from ledger.core.signing import SeedSigner

ALICE = b"a" * 32
BOB = b"b" * 32
MemoryStream = trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]
Stream = trio.SSLStream[MemoryStream]


def _pair(client: ssl.SSLContext, server: ssl.SSLContext) -> tuple[Stream, Stream]:
    near, far = trio.testing.memory_stream_pair()
    return (
        trio.SSLStream(near, client, https_compatible=True),
        trio.SSLStream(far, server, server_side=True, https_compatible=True),
    )


async def _shake(*ends: Stream) -> None:
    async with trio.open_nursery() as nursery:
        for end in ends:
            nursery.start_soon(end.do_handshake)


class _Shows:
    def __init__(self, certificate: bytes | None) -> None:
        self._certificate = certificate

    def getpeercert(self, *, binary_form: bool) -> bytes | None:
        assert binary_form
        return self._certificate


def test_public_key_is_that_of_the_seed() -> None:
    """The key that peers pin is the Ed25519 key of the seed."""
    assert PeerIdentity(ALICE).public_key == SeedSigner(ALICE).public_key


async def test_each_end_sees_the_other_ends_key() -> None:
    """After the handshake both know exactly whom they speak to, over TLS 1.3."""
    alice, bob = PeerIdentity(ALICE), PeerIdentity(BOB)
    near, far = _pair(alice.client, bob.server)
    await _shake(near, far)
    assert peer_key(near) == bob.public_key
    assert peer_key(far) == alice.public_key
    assert near.version() == "TLSv1.3"


async def test_client_without_certificate_is_refused() -> None:
    """A client that shows no certificate gets no connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    near, far = _pair(context, PeerIdentity(BOB).server)
    with pytest.RaisesGroup(pytest.RaisesExc(trio.BrokenResourceError), flatten_subgroups=True):
        await _shake(near, far)


async def test_tls_1_2_is_refused() -> None:
    """A client that knows nothing newer than TLS 1.2 gets no connection."""
    alice = PeerIdentity(ALICE)
    alice.client.minimum_version = ssl.TLSVersion.TLSv1_2
    alice.client.maximum_version = ssl.TLSVersion.TLSv1_2
    near, far = _pair(alice.client, PeerIdentity(BOB).server)
    async with trio.open_nursery() as nursery:
        for end in (near, far):

            async def shake(end: Stream = end) -> None:
                with pytest.raises(trio.BrokenResourceError):
                    await end.do_handshake()
                await trio.aclose_forcefully(end)

            nursery.start_soon(shake)


async def test_certificates_never_expire() -> None:
    """No date cuts the network: valid from 1970 until the last day of 9999."""
    alice, bob = PeerIdentity(ALICE), PeerIdentity(BOB)
    near, far = _pair(alice.client, bob.server)
    await _shake(near, far)
    encoded = near.getpeercert(binary_form=True)
    certificate = x509.load_der_x509_certificate(encoded)
    assert certificate.not_valid_before_utc == dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    assert certificate.not_valid_after_utc.year == 9999


@pytest.mark.parametrize("certificate", [None, b"", b"\x30\x00", b"\xff" * 400])
def test_unreadable_certificates_are_faults(certificate: bytes | None) -> None:
    """Whatever stands where the certificate should be: a PeerFault and nothing else."""
    with pytest.raises(PeerFault) as caught:
        peer_key(_Shows(certificate))
    assert caught.value.offence is Offence.WRONG_IDENTITY


def test_other_kinds_of_key_are_faults() -> None:
    """A certificate of a P-256 key is no identity here."""
    authority = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2030, 1, 1, tzinfo=dt.UTC))
        .sign(authority, None)
    )
    with pytest.raises(PeerFault, match="not Ed25519"):
        peer_key(_Shows(certificate.public_bytes(serialization.Encoding.DER)))
