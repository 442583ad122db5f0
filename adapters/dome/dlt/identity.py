"""Who an event of DOME is by, in DOME's terms: `iss` and an Ethereum address.

DOME names an organisation by the SHA-256 of its identifier (`iss`, `publisherAddress`) and the
account that signed by an Ethereum address, which Desmos looks up in its list of access nodes. Here
a DID signs, so both are claims. An address counts as the DID's own when it was derived from the
DID or when the trusted list of DID documents gave it to the DID at that time.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from Crypto.Hash import keccak

from adapters.lists import Lists
from ledger.core.trust.lists import EntryStatus

__all__ = [
    "address_of",
    "checksum_address",
    "derived_address",
    "iss_of",
    "issuers_of",
    "owns_address",
]

_LIST: Final = "did-documents"
_CHILD: Final = "address/"
_ELSI: Final = "did:elsi:"
_ADDRESS_BYTES: Final = 20
_LETTER_NIBBLE: Final = 8


def iss_of(identifier: str) -> str:
    """Give the `iss` of an organisation's identifier: 0x and 64 hex digits."""
    return "0x" + sha256(identifier.encode()).hexdigest()


def issuers_of(identifiers: Iterable[str]) -> frozenset[str]:
    """Give every `iss` that identifiers stand for; a did:elsi stands for its suffix, too."""
    names = list(identifiers)
    names += [name.removeprefix(_ELSI) for name in names if name.startswith(_ELSI)]
    return frozenset(map(iss_of, names))


def checksum_address(address: bytes) -> str:
    """Write 20 bytes as Ethereum does, with the checksum in the case of the letters (EIP-55)."""
    digits = address.hex()
    marks = _keccak(digits.encode()).hex()
    pairs = zip(digits, marks[: len(digits)], strict=True)
    return "0x" + "".join(
        digit.upper() if int(mark, 16) >= _LETTER_NIBBLE else digit for digit, mark in pairs
    )


def derived_address(did: str) -> bytes:
    """Give the address of a DID that registered none: the end of its Keccak-256."""
    return _keccak(did.encode())[-_ADDRESS_BYTES:]


def address_of(lists: Lists, did: str) -> bytes:
    """Give the address that a DID uses: the one it registered first, or the derived one."""
    rows = [
        (entry.changed_ms, bytes.fromhex(name.removeprefix(_CHILD + "0x")))
        for name, entry in lists.children(_LIST, did)
        if name.startswith(_CHILD)
    ]
    return min(rows)[1] if rows else derived_address(did)


def owns_address(lists: Lists, did: str, address: bytes, time_ms: int) -> bool:
    """Say whether an address was a DID's own at a time."""
    if address == derived_address(did):
        return True
    revisions = lists.revisions(_LIST, f"{did}/{_CHILD}0x{address.hex()}")
    before = [entry for entry in revisions if entry.changed_ms <= time_ms]
    return bool(before) and before[-1].status is EntryStatus.ACTIVE


def _keccak(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()
