"""What the gateway's metrics tell of its surroundings: certificates, disks, issuers, delays."""

import datetime as dt
from pathlib import Path

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry

from consensus.core.control import Head
from ledger.core.errors import Unavailable
from ledger.core.ids import Height
from pubsub.core.oidc import Issuer, TokenRefused
from pubsub.io.certificate_expiry import certificate_expiry_s
from pubsub.io.metrics import HostCollector, OidcCollector
from pubsub.io.oidc_keys import IssuerKeys
from tests.pubsub.gateway_world import World, sample

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ledger.example")])
EXPIRY = "concordat_gateway_certificate_expiry_timestamp_seconds"


def certificate(end_s: int) -> bytes:
    """Make a certificate that holds until then, in PEM."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    return (
        x509.CertificateBuilder()
        .subject_name(NAME)
        .issuer_name(NAME)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime.fromtimestamp(0, dt.UTC))
        .not_valid_after(dt.datetime.fromtimestamp(end_s, dt.UTC))
        .sign(key, None)
        .public_bytes(Encoding.PEM)
    )


def test_first_certificate_to_expire_counts(tmp_path: Path) -> None:
    """Of a chain the earliest end is given; what is no certificate has none."""
    path = tmp_path / "chain.pem"
    path.write_bytes(certificate(2_000_000_000) + certificate(1_900_000_000))
    assert certificate_expiry_s(path) == 1_900_000_000
    path.write_bytes(b"no certificate")
    assert certificate_expiry_s(path) is None
    assert certificate_expiry_s(tmp_path / "absent.pem") is None


def test_expiry_and_space_are_looked_up_when_asked_for(tmp_path: Path) -> None:
    """A certificate that was replaced shows at once, one that went away as 0."""
    path = tmp_path / "public.pem"
    path.write_bytes(certificate(2_000_000_000))
    registry = CollectorRegistry()
    registry.register(HostCollector({"here": tmp_path, "gone": tmp_path / "a"}, {"public": path}))
    assert registry.get_sample_value(EXPIRY, {"certificate": "public"}) == 2_000_000_000
    path.unlink()
    assert registry.get_sample_value(EXPIRY, {"certificate": "public"}) == 0
    free = "concordat_gateway_store_disk_free_bytes"
    assert (registry.get_sample_value(free, {"store": "here"}) or 0) > 0
    assert registry.get_sample_value(free, {"store": "gone"}) is None


async def test_failed_fetches_of_keys_are_counted() -> None:
    """An issuer that cannot be reached shows as failed attempts, and one that can as fetched."""
    answers = [b"", b'{"keys": []}']
    now = [0]

    async def fetch(_url: str) -> bytes:
        answer = answers.pop(0)
        if not answer:
            raise Unavailable("down")
        return answer

    issuer = Issuer(
        name="market",
        url="https://login.example",
        audiences=("concordat",),
        jwks_url="https://login.example/keys",
        algorithms=("EdDSA",),
        claim=("scope",),
        grants={},
        leeway_ms=0,
        is_private=False,
    )
    keys = IssuerKeys(issuer, fetch, lambda: now[0])
    registry = CollectorRegistry()
    registry.register(OidcCollector({"market": keys}))
    for _ in range(2):
        try:
            await keys.key("kid", "EdDSA")
        except (Unavailable, TokenRefused):
            now[0] += 3_600_000
    name = "concordat_gateway_oidc_key_fetches_total"
    for result in ("fetched", "failed"):
        assert registry.get_sample_value(name, {"issuer": "market", "result": result}) == 1


async def test_delay_does_not_count_when_the_node_told(world: World) -> None:
    """How long a block took is measured to its being readable, as the node says, not told."""
    with anyio.fail_after(5):
        while world.gateway._height < 0:  # noqa: ASYNC110 - nothing announces it
            await anyio.sleep(0.005)
    height = world.chain.extend([sample().entry])
    with world.chain.store.read() as reader:
        block = reader.block(height)
    assert block is not None
    world.chain.extend()
    told = Head(Height(2), 1, height, block.time_ms + 1_500)
    world.gateway.link._on_head(told)
    total = "concordat_gateway_finality_seconds_sum"
    registry = world.gateway.metrics.registry
    with anyio.fail_after(5):
        while not registry.get_sample_value(total):  # noqa: ASYNC110
            await anyio.sleep(0.005)
    assert registry.get_sample_value(total) == pytest.approx(1.5)


async def test_delay_of_blocks_is_observed_once_each(world: World) -> None:
    """A block with events that becomes readable counts once, no empty one and none of before."""
    count = "concordat_gateway_finality_seconds_count"
    registry = world.gateway.metrics.registry
    for height in range(4):
        for _ in range(500):
            if world.gateway._height == height:
                break
            await anyio.sleep(0.01)
        if height < 3:
            await world.node.extend([sample(height).entry] if height < 2 else [])
    assert registry.get_sample_value(count) == 2
    text = (await world.get("/metrics")).text
    assert 'concordat_gateway_store_size_bytes{store="chain"}' in text
    assert "concordat_gateway_build_info{" in text
    assert "concordat_gateway_process_resident_memory_bytes" in text
