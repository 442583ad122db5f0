"""Certificates of compliance as a certifier issues them, and a node that judges them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapters.tmf.policy.certified import Verdicts
from adapters.tmf.policy.compliance import LABEL
from adapters.tmf.trust.compliance import CertificateVerifier
from ledger.io.chain_store import ChainStore
from tests.adapters.credentials.credential_world import ISSUER, NOW_S, World, day
from tests.ledger.sample_network import GENESIS

SPECIFICATION = "urn:ngsi-ld:product-specification:11111111-2222-4333-8444-555555555555"
CERTIFICATE_ID = "urn:uuid:0a0a0a0a-1111-4222-8333-444444444444"


def certificate(subject: str = SPECIFICATION, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Give the payload of a certificate; ``more`` changes the credential."""
    credential = {
        "@context": ["https://www.w3.org/ns/credentials/v2"],
        "id": CERTIFICATE_ID,
        "type": ["VerifiableCredential", LABEL],
        "issuer": ISSUER,
        "validFrom": day(-6),
        "validUntil": day(6),
        "credentialSubject": {"id": subject, "gx:labelLevel": "P"},
    }
    return {"iss": ISSUER, "iat": NOW_S - 60, "vc": credential | more}


class Node:
    """What judges certificates, over a ledger that lists the certifier."""

    def __init__(self, ledger: World) -> None:
        self.ledger = ledger
        ledger.list_issuer(ISSUER, LABEL)
        self.verdicts = Verdicts(ledger.clock_ms)
        self.verifier = CertificateVerifier(ledger.checker(), self.verdicts)


@contextmanager
def node(directory: Path) -> Iterator[Node]:
    """Give a node."""
    with ChainStore.create(directory / "chain", GENESIS) as store:
        yield Node(World(store))
