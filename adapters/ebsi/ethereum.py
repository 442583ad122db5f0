"""The little of Ethereum that EBSI's writes need: addresses, signed transactions, receipts' words.

Owns how an unsigned transaction and a signature become the signed transaction, its hash and its
signer. Nothing here is executed: a transaction is a client's signed wish.

Invariant: one content has one hash. Only EIP-155 transactions count, and of the two signatures of
one content only the one with the low ``s``.
"""

from typing import Final, NamedTuple

import coincurve
import rlp
from Crypto.Hash import keccak
from eth_abi.abi import encode

from adapters.ebsi.identifiers import hex_bytes
from ledger.core.limits import EBSI_BODY_BYTES_MAX

__all__ = [
    "ADDRESS_BYTES",
    "Signed",
    "Unsigned",
    "address_of",
    "checksum_address",
    "error_data",
    "keccak256",
    "number_of",
    "read_address",
    "sign_check",
]

ADDRESS_BYTES: Final = 20
_ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
_PROTECTED: Final = 35  # EIP-155: v is this, twice the chain id, and the parity
_PLAIN: Final = 27
_WORD_BITS: Final = 256
_ERROR_SELECTOR: Final = "0x08c379a0"  # Error(string)


class Unsigned(NamedTuple):
    """A transaction before its signature."""

    nonce: int
    gas_price: int
    gas_limit: int
    to: bytes
    value: int
    data: bytes
    chain_id: int

    def digest(self) -> bytes:
        """Give what its signer signs."""
        return keccak256(rlp.encode([*self[:6], self.chain_id, 0, 0]))


class Signed(NamedTuple):
    """A signed transaction: its bytes, its hash, and who signed it."""

    raw: bytes
    hash: bytes
    signer: bytes


def keccak256(data: bytes) -> bytes:
    """Give Ethereum's hash, which is not SHA3-256."""
    return keccak.new(digest_bits=256, data=data).digest()


def address_of(public_key: bytes) -> bytes | None:
    """Give the address of a secp256k1 key, compressed or not, or None when it is no key."""
    try:
        key = coincurve.PublicKey(public_key)
    except ValueError:
        return None
    return keccak256(key.format(compressed=False)[1:])[-ADDRESS_BYTES:]


def checksum_address(address: bytes) -> str:
    """Give an address in the mixed case of EIP-55."""
    text = address.hex()
    marks = keccak256(text.encode()).hex()
    letters = (
        letter.upper() if int(mark, 16) >= 8 else letter  # noqa: PLR2004 - the upper half
        for letter, mark in zip(text, marks, strict=False)
    )
    return "0x" + "".join(letters)


def read_address(text: str) -> bytes | None:
    """Give the 20 bytes of an address in any case, or None."""
    raw = hex_bytes(text)
    return raw if raw is not None and len(raw) == ADDRESS_BYTES else None


def number_of(text: str) -> int | None:
    """Give the number of ``0x`` and hexadecimal digits, at most 256 bits, or None."""
    digits = text.removeprefix("0x")
    if digits == text or not 0 < len(digits) <= _WORD_BITS // 4:
        return None
    try:
        return int(digits, 16) if digits.isalnum() else None
    except ValueError:
        return None


def sign_check(unsigned: Unsigned, r: int, s: int, v: int) -> Signed | None:
    """Put a signature to a transaction; None when it is none of anybody."""
    parity = v - _PLAIN if v in (_PLAIN, _PLAIN + 1) else v - _PROTECTED - 2 * unsigned.chain_id
    if parity not in (0, 1) or not (0 < r < _ORDER and 0 < s <= _ORDER // 2):
        return None
    if len(unsigned.data) > EBSI_BODY_BYTES_MAX:
        return None
    signature = r.to_bytes(32) + s.to_bytes(32) + bytes([parity])
    try:
        key = coincurve.PublicKey.from_signature_and_message(
            signature, unsigned.digest(), hasher=None
        )
    except ValueError:
        return None
    protected = parity + _PROTECTED + 2 * unsigned.chain_id
    raw = rlp.encode([*unsigned[:6], protected, r, s])
    signer = keccak256(key.format(compressed=False)[1:])[-ADDRESS_BYTES:]
    return Signed(raw, keccak256(raw), signer)


def error_data(reason: str) -> str:
    """Give the data of a reverted call, as a node shows it: ``Error(string)``."""
    return _ERROR_SELECTOR + encode(["string"], [reason]).hex()
