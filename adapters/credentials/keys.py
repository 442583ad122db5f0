"""Finds the key of a DID: in the DID itself, in its certificate, on the ledger, on its web site.

Owns the order in which places are asked. A place that knows the DID decides; only did:web goes
outside, and only for DIDs that the caller has a reason to believe in.
"""

from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from adapters.credentials.access import AccessRefused, Refusal
from adapters.credentials.certificates import ELSI, TrustAnchors
from adapters.credentials.did_keys import (
    NamedKey,
    choose_key,
    document_keys,
    key_of_did_key,
    web_location,
)
from adapters.credentials.fetching import Fetcher
from adapters.credentials.jose import VerifyingKey, key_of_public
from adapters.credentials.members import read_json
from adapters.credentials.trust import LedgerSnapshot, LedgerView
from pubsub.core.compact_jws import CompactJws

__all__ = ["KeyFinder"]

_DID_DOCUMENTS: Final = "did-documents"


class KeyFinder:
    """Finds keys for one gateway."""

    def __init__(self, ledger: LedgerView, fetcher: Fetcher, anchors: TrustAnchors) -> None:
        self._ledger = ledger
        self._fetcher = fetcher
        self._anchors = anchors

    async def key(self, did: str, jws: CompactJws, purpose: str, now_ms: int) -> VerifyingKey:
        """Give the key of a DID that a token asks for.

        Args:
            purpose: the relationship that a DID document must list the key for.

        Raises:
            AccessRefused: UNKNOWN_KEY, CERTIFICATE, CERTIFICATE_SUBJECT, ALGORITHM, MALFORMED.
            Unavailable: a document cannot be fetched now.
        """
        kid = jws.header.get("kid")
        if did.startswith(ELSI) and "x5c" in jws.header:
            return self._anchors.key_of(did, jws.header["x5c"], now_ms)
        if did.startswith("did:key:"):
            return choose_key([key_of_did_key(did)], did, kid)
        keys = await self._ledger.ask(lambda ledger: _ledger_keys(ledger, did, purpose))
        if not keys and did.startswith("did:web:"):
            document = read_json(await self._fetcher.fetch(web_location(did)), "DID document")
            keys = document_keys(document, did, purpose)
        if not keys:
            raise AccessRefused(Refusal.UNKNOWN_KEY, f"no key of {did} is known")
        return choose_key(keys, did, kid)


def _ledger_keys(ledger: LedgerSnapshot, did: str, purpose: str) -> list[NamedKey]:
    """Give the keys of a DID's document on the ledger and its publisher keys as a participant."""
    entry = ledger.lists.entry(_DID_DOCUMENTS, did)
    keys = [] if entry is None else document_keys(read_json(entry.body, "document"), did, purpose)
    rights = ledger.rights(did)
    for raw, is_revoked in (rights.revoked if rights else {}).items():
        if not is_revoked:
            key = key_of_public(Ed25519PublicKey.from_public_bytes(raw))
            keys.append(NamedKey(frozenset({raw.hex(), key.thumbprint}), key))
    return keys
